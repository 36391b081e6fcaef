# shellcheck shell=bash disable=SC2154 # host, state and the functions are kafka-local's
# The --secure half of kafka-local. Clients speak SASL_SSL with SCRAM-SHA-512 (users admin, edge, stranger; password =
# name-secret); nodes and controllers speak mutual TLS, as SCRAM cannot serve controllers.
# STATE/clients/USER.properties is for Java, USER.librdkafka.properties for librdkafka. Sourced, not run.

users="admin edge stranger"

secure_jaas() { # secure_jaas LISTENER
  echo "listener.name.$1.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
}

secure_listeners() {
  cat <<P
sasl.enabled.mechanisms=SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location=$state/certs/node.pem
ssl.truststore.type=PEM
ssl.truststore.location=$state/certs/ca.crt
listener.name.internal.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:CN=kafka-node;User:admin
allow.everyone.if.no.acl.found=false
P
}

secure_scram() { # the arguments of "format" that make the users, one a line
  local u
  for u in $users; do printf '%s\n' --add-scram "SCRAM-SHA-512=[name=$u,password=$u-secret]"; done
}

make_certificates() {
  command -v openssl >/dev/null || die "no 'openssl': makes the certificates of --secure; apt-get install openssl"
  local c=$state/certs
  mkdir -p "$c"
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=kafka-local-ca \
      -keyout "$c/ca.key" -out "$c/ca.crt"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kafka-node \
      -keyout "$c/node.key" -out "$c/node.csr"
    openssl x509 -req -in "$c/node.csr" -CA "$c/ca.crt" -CAkey "$c/ca.key" -CAcreateserial -days 30 \
      -extfile <(printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth') -out "$c/node.crt"
  } 2>"$c/openssl.log" || { cat "$c/openssl.log" >&2; die "openssl failed"; }
  cat "$c/node.key" "$c/node.crt" "$c/ca.crt" >"$c/node.pem" # one PKCS#8 key, then the chain
}

write_client_files() {
  local u; mkdir -p "$state/clients"
  for u in $users; do
    cat >"$state/clients/$u.properties" <<P
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="$u" password="$u-secret";
ssl.truststore.type=PEM
ssl.truststore.location=$state/certs/ca.crt
P
    cat >"$state/clients/$u.librdkafka.properties" <<P
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.username=$u
sasl.password=$u-secret
ssl.ca.location=$state/certs/ca.crt
P
  done
}

cmd_edge_acls() {
  [ $# = 2 ] || die "edge-acls TOPIC GROUP_PREFIX"
  need_cluster; secure || die "edge-acls: this cluster has no authorizer; start it with --secure"
  cmd_tool acls --add --allow-principal User:edge --topic "$1" --operation Read --operation Write --operation Describe
  cmd_tool acls --add --allow-principal User:edge --group "$2" --resource-pattern-type prefixed --operation Describe
}
