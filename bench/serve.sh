#!/bin/bash
# The server for the load generator: bench/serve.sh start|stop FOLDER. Makes the accounts u0..u5099 (password "bench") on first start.
set -eu
cmd=$1; folder=$2
root=$(cd "$(dirname "$0")/.." && pwd)
node="$root/node_modules/.bin/node"
pochard() { "$node" "$root/core/src/main.ts" --config "$root/bench/pochard.yaml" --data "$folder/data" "$@"; }
case $cmd in
start)
  mkdir -p "$folder"
  if [ ! -f "$folder/accounts.csv" ]; then
    { echo username,passwordHash; for i in $(seq 0 5099); do echo "u$i,{PLAIN}bench"; done; } > "$folder/accounts.csv"
    pochard account import "$folder/accounts.csv"
  fi
  ulimit -n "$(ulimit -Hn)"
  "$node" --max-semi-space-size=8 "$root/core/src/main.ts" --config "$root/bench/pochard.yaml" --data "$folder/data" start > "$folder/log" 2>&1 &
  echo $! > "$folder/pid"
  for _ in $(seq 100); do [ -f "$folder/data/run.json" ] && exit 0; sleep 0.1; done
  cat "$folder/log" >&2; exit 1;;
stop)
  pid=$(cat "$folder/pid"); kill -TERM "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done;;
*) echo "usage: serve.sh start|stop FOLDER" >&2; exit 2;;
esac
