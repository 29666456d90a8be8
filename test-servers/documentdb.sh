#!/usr/bin/env bash
# A MongoDB-compatible engine for tests from Debian's packages alone: PostgreSQL 18 with the DocumentDB extension, in a chroot of
# Debian 14, because its libc is newer than that of the host. Packages come from the mirror that the host's apt uses.
#   documentdb.sh setup DIR         makes DIR/root, once: root, debootstrap, about 80 s and 700 MB
#   documentdb.sh init DIR NAME     a fresh cluster in DIR/root/NAME
#   documentdb.sh run DIR NAME PORT runs it in the foreground on 127.0.0.1:PORT; ends, at once, when its parent does
#   documentdb.sh sql DIR PORT SQL
set -euo pipefail
command=$1 dir=$2 root=$2/root
suite=forky
bin=/usr/lib/postgresql/18/bin

mirror() {
  {
    grep -hoP '^URIs:\s*\K\S+' /etc/apt/sources.list.d/*.sources
    grep -hoP '^deb\s+(\[[^]]*\]\s+)?\K\S+(?=\s+\S+\s+main)' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
  } 2>/dev/null | grep -m1 '/debian/*$'
}
# As the user postgres; the death signal is set after the change of user, which clears it.
inside() { chroot "$root" setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

case $command in
  setup)
    mkdir -p "$dir"
    exec 9>"$dir/lock"
    flock 9 # one at a time; the others then find it ready
    [ ! -e "$root/.ready" ] || exit 0
    [ "$(id -u)" = 0 ] || { echo 'only root can make a chroot' >&2; exit 1; }
    command -v debootstrap >/dev/null || {
      apt-get update -q
      DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap
    }
    rm -rf "$root"
    # An older debootstrap does not know the suite's own name; the recipe is the same for all.
    debootstrap --variant=minbase "$suite" "$root" "$(mirror)" /usr/share/debootstrap/scripts/sid
    cp /etc/resolv.conf "$root/etc/"
    cp -n /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no service of the packages may start
    chmod 755 "$root/usr/sbin/policy-rc.d"
    mkdir -p "$root/etc/postgresql-common"
    echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
    # Maintainer scripts of services may fail in a chroot; what counts is tried below.
    chroot "$root" sh -c 'export DEBIAN_FRONTEND=noninteractive
      apt-get update -q && apt-get install -y -q --no-install-recommends postgresql-18-documentdb' || true
    chroot "$root" sh -c "id postgres >/dev/null && $bin/postgres --version"
    test -e "$root/usr/lib/postgresql/18/lib/pg_documentdb.so"
    mkdir -p "$root/dev/shm"
    [ -c "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3
    [ -c "$root/dev/urandom" ] || mknod -m 666 "$root/dev/urandom" c 1 9
    rm -rf "$root"/var/cache/apt/archives/*.deb
    touch "$root/.ready"
    ;;
  init)
    name=$3
    rm -rf "${root:?}/${name:?}"
    install -d -m 700 -o "$(chroot "$root" id -u postgres)" "$root/$name"
    inside "$bin/initdb" -D "/$name" -U postgres -A trust --no-sync >/dev/null
    cat >>"$root/$name/postgresql.conf" <<SETTINGS
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
cron.database_name = 'postgres'
max_connections = 150
shared_buffers = 64MB
fsync = off
log_checkpoints = off
SETTINGS
    ;;
  run)
    name=$3 port=$4
    exec chroot "$root" setpriv --reuid=postgres --regid=postgres --clear-groups --pdeathsig=QUIT "$bin/postgres" -D "/$name" -p "$port"
    ;;
  sql)
    inside "$bin/psql" -q -X -h 127.0.0.1 -p "$3" -U postgres -c "$4" postgres
    ;;
  *)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
