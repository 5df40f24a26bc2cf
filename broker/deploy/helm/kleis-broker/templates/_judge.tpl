{{- /*
  What is wrong with the values beyond their shape, which values.schema.json tells. Of the rules of the broker's own (see
  broker/config/rules.ts) those that decide what is made in the cluster: nothing is made for a configuration that
  `kleis-broker rbac` would refuse. The rest is the broker's to tell, and `kleis-broker check`'s.
*/ -}}

{{- define "kleis.judge" -}}
{{- $config := .kleis.config -}}
{{- $inside := .kleis.inside -}}
{{- if not $inside -}}
  {{- include "kleis.fault" (list $ "config.clusters" "has no cluster with credentials: { inCluster: true }: say which is the one that this broker runs in") -}}
{{- else if gt (len $inside) 1 -}}
  {{- include "kleis.fault" (list $ "config.clusters" (printf "has inCluster more than once (%s): the broker runs in one, give the others a tokenFile or a kubeconfig" (join ", " $inside))) -}}
{{- else if not (index $config.clusters .kleis.cluster).audiences -}}
  {{- include "kleis.fault" (list $ (printf "config.clusters.%s.audiences" .kleis.cluster) "is missing: the admission policy has to name what the API server accepts, and helm cannot ask. Mostly it is the issuer that `kubectl get --raw /.well-known/openid-configuration` tells: write audiences: [https://kubernetes.default.svc.cluster.local], or what stands there") -}}
{{- end -}}
{{- if hasKey $config.state "memory" -}}
  {{- if gt (int .Values.replicas) 1 -}}
    {{- include "kleis.fault" (list $ "config.state.memory" (printf "is for one replica, and replicas is %d: each would accept a single-use token once. Leave config.state out, or set replicas: 1" (int .Values.replicas))) -}}
  {{- end -}}
{{- else if and $config.state.cluster (not (hasKey $config.clusters $config.state.cluster)) -}}
  {{- include "kleis.fault" (list $ "config.state.cluster" (printf "is %s, which is no entry of config.clusters" $config.state.cluster)) -}}
{{- end -}}
{{- range $name, $cluster := .kleis.clusters -}}
  {{- include "kleis.judgeNamespaces" (list $ $name $cluster) -}}
{{- end -}}
{{- range $name, $grant := $config.grants -}}
  {{- include "kleis.judgeGrant" (list $ (printf "config.grants.%s" $name) $grant) -}}
{{- end -}}
{{- include "kleis.judgeShared" . -}}
{{- range $index, $writer := ($config.namespaces | default dict).writers -}}
  {{- include "kleis.judgeWriter" (list $ (printf "config.namespaces.writers[%d]" $index) $writer) -}}
{{- end -}}
{{- range $name, $issuer := $config.issuers -}}
  {{- if and (hasKey $issuer "cluster") (not (hasKey $config.clusters ($issuer.cluster | default ""))) -}}
    {{- include "kleis.fault" (list $ (printf "config.issuers.%s.cluster" $name) (printf "is %s, which is no entry of config.clusters" $issuer.cluster)) -}}
  {{- end -}}
  {{- range $clusterName, $cluster := $config.clusters -}}
    {{- if has $issuer.audience ($cluster.audiences | default list) -}}
      {{- include "kleis.fault" (list $ (printf "config.issuers.%s.audience" $name) (printf "is accepted by the API server of %s too: choose one for the broker alone" $clusterName)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- /* list: root, name, cluster: KIND to namespace of Kleis's own. */ -}}
{{- define "kleis.ownNamespaces" -}}
{{- $config := (index . 0).kleis.config -}}
{{- $cluster := index . 2 -}}
{{- $own := dict "identityNamespace" $cluster.identityNamespace "ephemeralNamespace" $cluster.ephemeralNamespace "systemNamespace" $cluster.systemNamespace -}}
{{- if eq ($config.state.cluster | default "") (index . 1) -}}{{- $_ := set $own "state.namespace" ($config.state.namespace | default "kleis-state") -}}{{- end -}}
{{- toJson $own -}}
{{- end -}}

{{- define "kleis.judgeNamespaces" -}}
{{- $root := index . 0 -}}
{{- $path := printf "config.clusters.%s" (index . 1) -}}
{{- $seen := dict -}}
{{- range $field, $namespace := include "kleis.ownNamespaces" . | fromJson -}}
  {{- if hasKey $seen $namespace -}}
    {{- include "kleis.fault" (list $root $path (printf "uses the namespace %s as %s and as %s: each holds nothing else" $namespace (get $seen $namespace) $field)) -}}
  {{- end -}}
  {{- $_ := set $seen $namespace $field -}}
  {{- if has $namespace (list "kube-system" "kube-public" "kube-node-lease" "default") -}}
    {{- include "kleis.fault" (list $root $path (printf "uses %s as %s: choose a namespace that holds nothing else" $namespace $field)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- /* list: root, path, grant. */ -}}
{{- define "kleis.judgeGrant" -}}
{{- $root := index . 0 -}}
{{- $path := index . 1 -}}
{{- $grant := index . 2 -}}
{{- $config := $root.kleis.config -}}
{{- if not (hasKey $config.issuers $grant.issuer) -}}
  {{- include "kleis.fault" (list $root (print $path ".issuer") (printf "is %s, which is no entry of config.issuers" $grant.issuer)) -}}
{{- end -}}
{{- $own := dict -}}
{{- if hasKey $config.clusters $grant.cluster -}}
  {{- $own = include "kleis.ownNamespaces" (list $root $grant.cluster (index $root.kleis.clusters $grant.cluster)) | fromJson -}}
{{- else -}}
  {{- include "kleis.fault" (list $root (print $path ".cluster") (printf "is %s, which is no entry of config.clusters" $grant.cluster)) -}}
{{- end -}}
{{- $ttl := $grant.ttl | default dict -}}
{{- $usual := 0 -}}
{{- if hasKey $ttl "default" -}}
  {{- $usual = int64 (include "kleis.seconds" $ttl.default) -}}
  {{- if lt $usual 600 -}}{{- include "kleis.fault" (list $root (print $path ".ttl.default") "is less than 10m: the TokenRequest API gives no shorter token") -}}{{- end -}}
{{- end -}}
{{- $max := max 3600 $usual -}}
{{- if hasKey $ttl "max" -}}{{- $max = int64 (include "kleis.seconds" $ttl.max) -}}{{- end -}}
{{- if lt $max 600 -}}{{- include "kleis.fault" (list $root (print $path ".ttl.max") "is less than 10m: the TokenRequest API gives no shorter token") -}}{{- end -}}
{{- if gt $max 86400 -}}{{- include "kleis.fault" (list $root (print $path ".ttl.max") "is more than 24h: a job that runs longer asks again") -}}{{- end -}}
{{- if gt $usual $max -}}{{- include "kleis.fault" (list $root (print $path ".ttl.default") "is more than ttl.max") -}}{{- end -}}
{{- if and $grant.ephemeral (hasKey $grant "serviceAccount") -}}
  {{- include "kleis.fault" (list $root (print $path ".serviceAccount") "is named, but ephemeral accounts are made for each lease: leave one of the two out") -}}
{{- else if not (or $grant.ephemeral (hasKey $grant "serviceAccount")) -}}
  {{- include "kleis.fault" (list $root $path "names no serviceAccount: name one, or write ephemeral: true for one that is made for each lease") -}}
{{- else if $grant.ephemeral -}}
  {{- if not $grant.access -}}{{- include "kleis.fault" (list $root $path "is ephemeral and says no access: its account could do nothing") -}}{{- end -}}
  {{- if and (hasKey $grant "revocable") (not $grant.revocable) -}}{{- include "kleis.fault" (list $root (print $path ".revocable") "is false, but an ephemeral account always has a lease, to be removed by") -}}{{- end -}}
  {{- if eq ($config.admissionPolicy | default "required") "optional" -}}{{- include "kleis.fault" (list $root (print $path ".ephemeral") "needs admissionPolicy: required, since RBAC alone would let the broker bind the Role to anyone") -}}{{- end -}}
{{- end -}}
{{- $elsewhere := and (not $grant.ephemeral) (kindIs "map" $grant.serviceAccount) -}}
{{- if hasKey $grant "killSwitch" -}}
  {{- if not $elsewhere -}}{{- include "kleis.fault" (list $root (print $path ".killSwitch") "is for an account elsewhere: tokens of this one can be revoked each by itself") -}}{{- end -}}
  {{- if not (hasPrefix "kleis-" $grant.killSwitch) -}}{{- include "kleis.fault" (list $root (print $path ".killSwitch") "must begin with kleis-: the admission policy lets the broker delete no other Secret") -}}{{- end -}}
{{- end -}}
{{- if $elsewhere -}}
  {{- $namespace := $grant.serviceAccount.namespace -}}
  {{- if $grant.revocable -}}{{- include "kleis.fault" (list $root (print $path ".revocable") "cannot be kept for an account elsewhere, where the broker may make no Secret to bind a token to: use killSwitch, or an account in the identity namespace") -}}{{- end -}}
  {{- if has $namespace (list "kube-system" "kube-public" "kube-node-lease") -}}
    {{- include "kleis.fault" (list $root (print $path ".serviceAccount.namespace") (printf "is where Kubernetes keeps its own accounts, which may do nearly everything: no token is minted for one in %s" $namespace)) -}}
  {{- end -}}
  {{- range $field, $each := $own -}}
    {{- if eq $each $namespace -}}{{- include "kleis.fault" (list $root (print $path ".serviceAccount.namespace") (printf "is the %s of Kleis: name an account there by its name alone, or one elsewhere" $field)) -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- $taken := dict -}}
{{- $count := 0 -}}
{{- range $index, $entry := $grant.access | default list -}}
  {{- $at := printf "%s.access[%d]" $path $index -}}
  {{- $hasRole := hasKey $entry "role" -}}
  {{- if eq $hasRole (hasKey $entry "clusterRole") -}}{{- include "kleis.fault" (list $root $at (ternary "names a role and a clusterRole: write an entry for each" "names neither a role nor a clusterRole" $hasRole)) -}}{{- end -}}
  {{- $places := list -}}
  {{- range list "namespace" "namespaces" "scope" -}}{{- if hasKey $entry . -}}{{- $places = append $places . -}}{{- end -}}{{- end -}}
  {{- if ne (len $places) 1 -}}{{- include "kleis.fault" (list $root $at (ternary "says where in more than one way: leave all but one of namespace, namespaces and scope out" "says not where: write namespace or namespaces, or scope: cluster for a clusterRole" (not (empty $places)))) -}}{{- end -}}
  {{- if hasKey $entry "scope" -}}
    {{- if $hasRole -}}{{- include "kleis.fault" (list $root $at "is a Role for the whole cluster, and a Role is in one namespace: name a clusterRole") -}}{{- end -}}
    {{- if $grant.ephemeral -}}{{- include "kleis.fault" (list $root (print $at ".scope") "is not for ephemeral accounts: to bind one for each lease, the broker would need the right to remove every ClusterRoleBinding") -}}{{- end -}}
  {{- end -}}
  {{- if and (ne $hasRole (hasKey $entry "clusterRole")) (eq (len $places) 1) -}}
    {{- $namespaces := $entry.namespaces | default (list ($entry.namespace | default "")) -}}
    {{- $count = add $count (len $namespaces) -}}
    {{- range $namespaces -}}
      {{- $key := printf "%t %s %s" $hasRole . ($entry.role | default $entry.clusterRole) -}}
      {{- if hasKey $taken $key -}}{{- include "kleis.fault" (list $root $at (printf "names %s twice for one place" ($entry.role | default $entry.clusterRole))) -}}{{- end -}}
      {{- $_ := set $taken $key true -}}
    {{- end -}}
  {{- end -}}
  {{- range concat ($entry.namespaces | default list) (list ($entry.namespace | default "")) -}}
    {{- if has . (values $own) -}}{{- include "kleis.fault" (list $root $at (printf "names %s, which is one of Kleis's own: whoever may write there may mint what the broker may" .)) -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- if gt (int $count) 1000 -}}{{- include "kleis.fault" (list $root (print $path ".access") "comes to more than 1000 bindings") -}}{{- end -}}
{{- end -}}

{{- /* Two grants for one account elsewhere cannot say different things: the policy knows accounts alone. */ -}}
{{- define "kleis.judgeShared" -}}
{{- $first := dict -}}
{{- $grants := .kleis.config.grants -}}
{{- range $name := keys $grants | sortAlpha -}}
  {{- $grant := index $grants $name -}}
  {{- if and (not $grant.ephemeral) (kindIs "map" $grant.serviceAccount) -}}
    {{- $key := printf "%s %s/%s" $grant.cluster $grant.serviceAccount.namespace $grant.serviceAccount.name -}}
    {{- $switch := $grant.killSwitch | default "" -}}
    {{- if not (hasKey $first $key) -}}{{- $_ := set $first $key (list $name $switch) -}}
    {{- else if ne (index (get $first $key) 1) $switch -}}
      {{- include "kleis.fault" (list $ (printf "config.grants.%s.killSwitch" $name) (printf "differs from that of grants.%s, which has the same account" (index (get $first $key) 0))) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- /* list: root, path, writer. */ -}}
{{- define "kleis.judgeWriter" -}}
{{- $root := index . 0 -}}
{{- $path := index . 1 -}}
{{- $writer := index . 2 -}}
{{- $namespace := first (splitList "/" $writer.serviceAccount) -}}
{{- $name := $writer.cluster | default $root.kleis.cluster -}}
{{- if not (or $writer.secrets $writer.configMaps) -}}
  {{- include "kleis.fault" (list $root $path "names neither secrets nor configMaps: say what it may write") -}}
{{- end -}}
{{- if eq $namespace "kube-system" -}}
  {{- include "kleis.fault" (list $root (print $path ".serviceAccount") "is of kube-system, whose accounts the policy lets in anyway: leave the entry out") -}}
{{- end -}}
{{- if hasKey $root.kleis.clusters $name -}}
  {{- if has $namespace (values (include "kleis.ownNamespaces" (list $root $name (index $root.kleis.clusters $name)) | fromJson)) -}}
    {{- include "kleis.fault" (list $root (print $path ".serviceAccount") (printf "is an account of %s, one of Kleis's own: a token of a grant or of the broker would write the broker's own files" $namespace)) -}}
  {{- end -}}
{{- else if $name -}}
  {{- include "kleis.fault" (list $root (print $path ".cluster") (printf "is %s, which is no entry of config.clusters" $name)) -}}
{{- end -}}
{{- end -}}
