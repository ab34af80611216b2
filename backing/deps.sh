#!/bin/sh
# Installs the servers that package backing runs, and the browser that tests look
# at pages with, with apt-get where that may be done, and else says what to install.
# Nothing that it installs is started.
set -eu

missing=
[ -n "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null || command -v postgres)" ] || missing="$missing postgresql"
command -v redis-server >/dev/null || missing="$missing redis-server"
[ -e /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null || missing="$missing rabbitmq-server"
[ -n "$(command -v chromium || command -v chromium-browser || command -v google-chrome)" ] || missing="$missing chromium"
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
	if sudo -n true 2>/dev/null; then root="sudo -n"; else root=none; fi
fi
if [ "$root" = none ] || ! command -v apt-get >/dev/null; then
	cat <<MESSAGE
Not installed:$missing
Tests that need them are skipped. To install them:
  Debian, Ubuntu   apt-get install$missing
  Fedora           dnf install postgresql-server redis rabbitmq-server chromium
  macOS            brew install postgresql redis rabbitmq chromium
MESSAGE
	exit 0
fi

# Packages ask this script whether they may start what they bring.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
	$root chmod 755 $policy
	trap '$root rm -f $policy' EXIT
fi
# shellcheck disable=SC2086 # they are words
install() { $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; }
install || { $root apt-get update -q && install; }
