# Sourced by the scripts that start servers.

# Chooses a port below 32768, because Linux takes the ports of outgoing connections from 32768 on.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
}
