# The short names of everyday commands. Without make: python3 run.py demo, python3 run.py test, ...
PYTHON ?= python3
VENV := .venv/bin
# Extra arguments, e.g. make test ARGS="-k claim"
ARGS ?=
export HOST PORT FRESH EXIT PEOPLE CHAOS ROUNDS SEED MINUTES

.DEFAULT_GOAL := help
.PHONY: help demo run test test-crash test-intake setup login stop wipe check fmt schema reference messages bench-send bench-launch bench-import bench-events bench-api bench-tracking bench-limits bench-providers bench-rivals soak

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

demo: ## start everything and send the sample campaign (FRESH=1 starts over, EXIT=1 ends after the account, CHAOS=1 kills meanwhile)
	@$(PYTHON) run.py demo

run: ## start everything without the sample campaign
	@$(PYTHON) run.py run

test: ## run the tests on services of their own (ARGS="-k name")
	@$(PYTHON) run.py test -n 3 $(ARGS)

test-crash: setup ## attack a running installation and account for every person (ROUNDS=50, SEED=7)
	@$(VENV)/python -m tests.crash $(ARGS)

test-intake: setup ## kill everything while 100,000 events come in by SNS, by SQS and by Firehose, and account for each (SEED=7)
	@$(VENV)/python -m tests.intake $(ARGS)

setup: ## create .venv with everything for development
	@$(PYTHON) run.py setup --dev

login: ## print a new one-time sign-in link of what is running
	@$(PYTHON) run.py login

stop: ## end what is running from another terminal
	@$(PYTHON) run.py stop

wipe: ## delete the data of this clone
	@$(PYTHON) run.py wipe

check: setup ## style, types, imports, migrations, schema, references, templates, secrets
	@PATH="$(CURDIR)/$(VENV):$$PATH" sh .ci/check

fmt: setup ## format the code
	@$(VENV)/ruff check --fix --quiet . || true
	@$(VENV)/ruff format .

schema: setup ## write docs/openapi.yaml from the API
	@DJANGO_SETTINGS_MODULE=amazonsender.settings.test $(VENV)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

reference: setup ## write docs/settings.md and .env.example from the settings
	@DJANGO_SETTINGS_MODULE=amazonsender.settings.test $(VENV)/python manage.py settings_reference

messages: setup ## collect texts to translate (needs GNU gettext) and compile the catalogues
	@DJANGO_SETTINGS_MODULE=amazonsender.settings.test $(VENV)/python manage.py makemessages --all --no-obsolete --no-location --ignore '.venv/*' --ignore '.data/*'
	@$(VENV)/pybabel compile --statistics --domain django --directory amazonsender/locale

bench-send: setup ## emails per second through the real path (N=1000000)
	@$(VENV)/python -m tests.benchmarks.bench_send $(ARGS)

bench-launch: setup ## seconds to freeze an audience of a million
	@$(VENV)/python -m tests.benchmarks.bench_launch $(ARGS)

bench-import: setup ## rows per second of a CSV import
	@$(VENV)/python -m tests.benchmarks.bench_import $(ARGS)

bench-events: setup ## events per second: received one by one, in batches, processed
	@$(VENV)/python -m tests.benchmarks.bench_events $(ARGS)

bench-api: setup ## how long reads and single writes of the API take at 100 requests per second
	@$(VENV)/python -m tests.benchmarks.bench_api $(ARGS)

bench-tracking: setup ## how long clicks and opens take beside a send of 10,000 emails per second
	@$(VENV)/python -m tests.benchmarks.bench_tracking $(ARGS)

bench-limits: setup ## one account and eight processes: rate, day, throttling, turns, overtaking (N=1000000)
	@$(VENV)/python -m tests.benchmarks.bench_limits $(ARGS)

bench-providers: setup ## SMTP and anymail beside a bare loop of the same library (N=20000)
	@$(VENV)/python -m tests.benchmarks.bench_providers $(ARGS)

bench-rivals: ## anymail, post_office, SMTP and boto3 on the same provider stub, in peace and killed (installs them)
	@$(PYTHON) run.py setup --bench
	@$(VENV)/python -m tests.benchmarks.bench_rivals $(ARGS)

soak: setup ## campaigns, events, imports and readers together for long: does anything grow? (MINUTES=60)
	@$(VENV)/python -m tests.soak $(ARGS)
