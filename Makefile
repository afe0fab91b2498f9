# The two commands of the README are `make demo` and `make test`.

GO          ?= go
PREFIX      ?= /usr/local
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Tests make network namespaces, which takes root: an ordinary user's are run
# through sudo, and find Go there.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
EXEC := $(if $(SUDO),-exec "sudo env PATH=$(PATH)",)

# What the tests talk to and listen with, by the command that is looked for and
# the Debian package that has it.
TOOLS := nft:nftables sshd:openssh-server ssh:openssh-client knock:knockd nmap:nmap hping3:hping3 \
	telnet:telnet nc.openbsd:netcat-openbsd ip:iproute2 setpriv:util-linux rsync:rsync curl:curl groff:groff-base fwknop:fwknop-client
# They would begin to ban, and to serve, on the machine they are installed on. Without them, their tests are skipped.
TOOLS += $(if $(CI),fail2ban-regex:fail2ban promtool:prometheus)
# It is large. Without it, its test is skipped.
TOOLS += $(if $(CI),chromium:chromium)

.DEFAULT_GOAL := help
.PHONY: help
help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# --version tells the commit, whatever GOFLAGS says, if git can tell it.
VCS := -buildvcs=$(if $(shell git rev-parse HEAD 2>/dev/null),auto,false)

.PHONY: build
build: ## build both programs into bin/
	CGO_ENABLED=0 $(GO) build $(VCS) -trimpath -o bin/ ./cmd/nftknock ./cmd/nftknockd

# Where the client is at home. What cannot be run here is vetted at least.
SYSTEMS := linux darwin windows freebsd openbsd

.PHONY: cross
cross: ## build the client for every system it is for, into bin/cross/
	@for os in $(SYSTEMS); do \
		GOOS=$$os $(GO) vet ./cmd/nftknock/... ./config ./knock || exit 1; \
		for arch in amd64 arm64; do \
			file=bin/cross/nftknock-$$os-$$arch; [ $$os != windows ] || file=$$file.exe; \
			echo $$file; \
			CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build $(VCS) -trimpath -ldflags='-s -w' -o $$file ./cmd/nftknock || exit 1; \
		done; \
	done

.PHONY: demo
demo: build ## show the gate at work, in network namespaces of its own
	bin/nftknockd demo

.PHONY: demo-fleet
demo-fleet: tools ## show three gates that share grants, with a NATS server, in namespaces of their own
	@cd integration/fleet && $(GO) test -count=1 $(EXEC) -run '^TestDemo$$' -demo

.PHONY: recording
recording: build ## record make demo as integration/demo.svg
	$(GO) run ./integration/recording -o integration/demo.svg bin/nftknockd demo

# The packages of integration tests take turns; while one waits, others go on.
PACKAGES := $(shell expr $$(nproc) + 1)

.PHONY: test
test: tools ## run all tests, with the race detector; installs what they need
	$(GO) test -race -timeout 30m -p $(PACKAGES) $(EXEC) ./...

.PHONY: test-fleet
test-fleet: tools ## run the tests of a fleet alone, with real NATS servers
	$(GO) test -count=1 $(EXEC) ./integration/fleet ./cmd/nftknockd/internal/fleet

.PHONY: test-systemd
test-systemd: ## prove unit and package under a real systemd, in a container
	$(if $(SUDO),sudo env PATH=$(PATH)) integration/systemd/test.sh

.PHONY: test-packages
test-packages: ## install, upgrade and remove the packages; OpenRC; everything but systemd
	$(if $(SUDO),sudo env PATH=$(PATH)) integration/packages/test.sh

.PHONY: test-arch
test-arch: ## run the tests of knock, config and nft on arm64, armhf and s390x, in qemu
	integration/arch/test.sh

.PHONY: test-windows
test-windows: ## run the Windows client in Wine
	$(if $(SUDO),sudo env PATH=$(PATH)) integration/windows/test.sh

.PHONY: test-kernels
test-kernels: ## prove the gate on other kernels, in virtual machines: KERNELS="5.10 6.1 6.12", FULL=1
	$(if $(SUDO),sudo env PATH=$(PATH) KERNELS="$(KERNELS)" FULL="$(FULL)") integration/kernels/test.sh

.PHONY: tools
tools: ## install the programs that the tests use
	@missing=; PATH=$$PATH:/usr/sbin:/sbin; \
	for tool in $(TOOLS); do \
		command -v "$${tool%%:*}" >/dev/null || missing="$$missing $${tool#*:}"; \
	done; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	[ -z "$$missing" ] || { \
		echo "installing$$missing"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; }

.PHONY: lint
lint: ## check format, go vet (on 32 bits, too) and staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	$(GO) vet ./...
	CGO_ENABLED=0 GOARCH=arm $(GO) vet ./cmd/...
	$(GO) run $(STATICCHECK) ./...

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities, where their database can be reached
	@out=$$(timeout 120 $(GO) run $(GOVULNCHECK) ./... 2>&1); status=$$?; echo "$$out"; \
	case "$$status:$$out" in \
		0:*) ;; \
		*"fetching vulnerabilities"*|124:*) echo "vulncheck: the database is out of reach; not checked" ;; \
		*) exit $$status ;; \
	esac

.PHONY: fuzz
FUZZTIME ?= 1m
fuzz: ## fuzz each target for FUZZTIME (1m)
	@grep -ro '^func Fuzz[A-Za-z]*' --include=*_test.go . | sed -E 's,/[^/]*:func , ,' | while read -r package target; do \
		$(GO) test -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x $$package </dev/null || exit 1; \
	done

.PHONY: bench
bench: TOOLS += fwknopd:fwknop-server iptables:iptables
bench: tools ## measure beside the peers: a quarter of an hour; writes integration/BENCHMARKS.md
	$(GO) test -count=1 -timeout 60m $(EXEC) -run '^TestReport$$' ./integration/bench -report -test.v

.PHONY: bench-fleet
bench-fleet: tools ## measure a fleet: two minutes; writes integration/FLEET.md
	$(GO) test -count=1 -timeout 20m $(EXEC) -run '^TestReport$$' ./integration/fleet -report -test.v

.PHONY: install
install: build ## install into PREFIX (/usr/local)
	install -D -m 0755 bin/nftknockd $(DESTDIR)$(PREFIX)/sbin/nftknockd
	install -D -m 0755 bin/nftknock $(DESTDIR)$(PREFIX)/bin/nftknock

.PHONY: deb
deb: ## build this machine's Debian packages into bin/ (VERSION=1.2.3, ARCH=arm64)
	FORMATS=deb ARCHES="$(or $(ARCH),$(shell dpkg --print-architecture))" systemd/packages/build.sh bin

.PHONY: packages
packages: ## build .deb, .rpm, .apk and Arch packages into bin/packages/ (ARCHES="amd64 armhf", FORMATS="deb rpm")
	systemd/packages/build.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
