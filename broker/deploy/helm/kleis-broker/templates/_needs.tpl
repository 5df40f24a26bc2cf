{{- /*
  What the cluster must hold for a configuration, as broker/rbac/needs.ts finds it. A property test compares what comes of
  it with what `kleis-broker rbac` prints, object by object.
*/ -}}

{{- /* Seconds of 1h30m. */ -}}
{{- define "kleis.seconds" -}}
{{- $sum := 0 -}}
{{- range $unit, $seconds := dict "h" 3600 "m" 60 "s" 1 -}}
  {{- $found := regexFind (printf "[0-9]+%s" $unit) $ -}}
  {{- if $found -}}{{- $sum = add $sum (mul $seconds (int64 (trimSuffix $unit $found))) -}}{{- end -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- /* A name of at most 253 characters; of a longer one the end gives way to its hash. */ -}}
{{- define "kleis.fit" -}}
{{- if regexMatch "^(?s:.{0,253})$" . -}}{{ . }}{{- else -}}{{ regexFind "^(?s:.{236})" . }}-{{ sha256sum . | trunc 16 }}{{- end -}}
{{- end -}}

{{- /* list: base, cluster. */ -}}
{{- define "kleis.ownName" -}}
{{- $cluster := index . 1 -}}
{{- $account := ternary "" (print "." $cluster.serviceAccount) (eq $cluster.serviceAccount "kleis-broker") -}}
{{- $suffix := print "." $cluster.systemNamespace $account -}}
{{- if and (eq $cluster.systemNamespace "kleis-system") (not $account) -}}{{- $suffix = "" -}}{{- end -}}
{{- include "kleis.fit" (print (index . 0) $suffix) -}}
{{- end -}}

{{- /* dict: into (KIND NAMESPACE/NAME to an access), entries (of `access`). */ -}}
{{- define "kleis.access" -}}
{{- $into := .into -}}
{{- range .entries -}}
  {{- $kind := ternary "Role" "ClusterRole" (hasKey . "role") -}}
  {{- $name := .role | default .clusterRole -}}
  {{- $places := .namespaces | default (list .namespace) -}}
  {{- if hasKey . "scope" -}}{{- $places = list "" -}}{{- end -}}
  {{- range $places -}}
    {{- $_ := set $into (printf "%s %s/%s" $kind . $name) (dict "kind" $kind "name" $name "namespace" .) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- /* dict: config, name (of the cluster), clusters (completed), into: gets the needs. */ -}}
{{- define "kleis.needs" -}}
{{- $config := .config -}}
{{- $name := .name -}}
{{- $into := .into -}}
{{- $cluster := index .clusters .name -}}
{{- $accounts := dict -}}
{{- $ephemeral := dict "grants" (list) "maxTtl" 0 "accessByKey" (dict) -}}
{{- range $grantName := keys $config.grants | sortAlpha -}}
  {{- $grant := index $config.grants $grantName -}}
  {{- if eq $grant.cluster $name -}}
    {{- $ttl := $grant.ttl | default dict -}}
    {{- $usual := 0 -}}
    {{- if hasKey $ttl "default" -}}{{- $usual = int64 (include "kleis.seconds" $ttl.default) -}}{{- end -}}
    {{- $max := max 3600 $usual -}}
    {{- if hasKey $ttl "max" -}}{{- $max = int64 (include "kleis.seconds" $ttl.max) -}}{{- end -}}
    {{- if $grant.ephemeral -}}
      {{- $_ := set $ephemeral "grants" (append $ephemeral.grants $grantName) -}}
      {{- $_ := set $ephemeral "maxTtl" (max $ephemeral.maxTtl $max) -}}
      {{- include "kleis.access" (dict "into" $ephemeral.accessByKey "entries" ($grant.access | default list)) -}}
    {{- else -}}
      {{- $isElsewhere := kindIs "map" $grant.serviceAccount -}}
      {{- $namespace := $cluster.identityNamespace -}}
      {{- $accountName := $grant.serviceAccount -}}
      {{- if $isElsewhere -}}
        {{- $namespace = $grant.serviceAccount.namespace -}}
        {{- $accountName = $grant.serviceAccount.name -}}
      {{- end -}}
      {{- $key := printf "%s/%s" $namespace $accountName -}}
      {{- $account := get $accounts $key | default (dict "isElsewhere" $isElsewhere "namespace" $namespace "name" $accountName "grants" (list) "maxTtl" 0 "revocable" false "unbound" false "killSwitch" "" "accessByKey" (dict)) -}}
      {{- $revocable := ternary $grant.revocable (not $isElsewhere) (hasKey $grant "revocable") -}}
      {{- $_ := set $account "grants" (append $account.grants $grantName) -}}
      {{- $_ := set $account "maxTtl" (max $account.maxTtl $max) -}}
      {{- $_ := set $account "revocable" (or $account.revocable $revocable) -}}
      {{- $_ := set $account "unbound" (or $account.unbound (not (or $revocable (hasKey $grant "killSwitch")))) -}}
      {{- if hasKey $grant "killSwitch" -}}{{- $_ := set $account "killSwitch" $grant.killSwitch -}}{{- end -}}
      {{- include "kleis.access" (dict "into" $account.accessByKey "entries" ($grant.access | default list)) -}}
      {{- $_ := set $accounts $key $account -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $identities := list -}}
{{- $elsewhere := list -}}
{{- range $key := keys $accounts | sortAlpha -}}
  {{- $account := index $accounts $key -}}
  {{- $_ := set $account "key" $key -}}
  {{- $access := list -}}
  {{- range keys $account.accessByKey | sortAlpha -}}{{- $access = append $access (index $account.accessByKey .) -}}{{- end -}}
  {{- $_ := set $account "access" $access -}}
  {{- if $account.isElsewhere -}}{{- $elsewhere = append $elsewhere $account -}}
  {{- else -}}{{- $identities = append $identities $account -}}{{- end -}}
{{- end -}}
{{- $access := list -}}
{{- range keys $ephemeral.accessByKey | sortAlpha -}}{{- $access = append $access (index $ephemeral.accessByKey .) -}}{{- end -}}
{{- $_ := set $ephemeral "access" $access -}}
{{- $_ := set $ephemeral "namespace" $cluster.ephemeralNamespace -}}
{{- $state := "" -}}
{{- if eq ($config.state.cluster | default "") $name -}}{{- $state = $config.state.namespace | default "kleis-state" -}}{{- end -}}
{{- $writers := dict -}}
{{- range ($config.namespaces | default dict).writers -}}
  {{- if or (eq (.cluster | default "") $name) (and (not (hasKey . "cluster")) (hasKey $cluster.credentials "inCluster")) -}}
    {{- $writer := get $writers .serviceAccount | default (dict "user" (printf "system:serviceaccount:%s" (replace "/" ":" .serviceAccount)) "key" .serviceAccount "secrets" (list) "configMaps" (list)) -}}
    {{- $_ := set $writer "secrets" (concat $writer.secrets (.secrets | default list) | uniq | sortAlpha) -}}
    {{- $_ := set $writer "configMaps" (concat $writer.configMaps (.configMaps | default list) | uniq | sortAlpha) -}}
    {{- $_ := set $writers .serviceAccount $writer -}}
  {{- end -}}
{{- end -}}
{{- $sorted := list -}}
{{- range keys $writers | sortAlpha -}}{{- $sorted = append $sorted (index $writers .) -}}{{- end -}}
{{- $namespaces := list $cluster.systemNamespace -}}
{{- if $state -}}{{- $namespaces = append $namespaces $state -}}{{- end -}}
{{- $namespaces = append $namespaces $cluster.identityNamespace -}}
{{- if $ephemeral.grants -}}{{- $namespaces = append $namespaces $cluster.ephemeralNamespace -}}{{- end -}}
{{- $_ := set $into "broker" (dict "namespace" $cluster.systemNamespace "name" $cluster.serviceAccount) -}}
{{- $_ := set $into "brokerUser" (printf "system:serviceaccount:%s:%s" $cluster.systemNamespace $cluster.serviceAccount) -}}
{{- $_ := set $into "name" (include "kleis.ownName" (list "kleis-broker" $cluster)) -}}
{{- $_ := set $into "namespacesPolicy" (include "kleis.ownName" (list "kleis-namespaces" $cluster)) -}}
{{- $_ := set $into "audiences" ($cluster.audiences | default list | uniq | sortAlpha) -}}
{{- $_ := set $into "stateNamespace" $state -}}
{{- $_ := set $into "identityNamespace" $cluster.identityNamespace -}}
{{- $_ := set $into "identities" $identities -}}
{{- $_ := set $into "elsewhere" $elsewhere -}}
{{- $_ := set $into "ephemeral" (ternary $ephemeral dict (not (empty $ephemeral.grants))) -}}
{{- $_ := set $into "writers" $sorted -}}
{{- $_ := set $into "namespaces" $namespaces -}}
{{- include "kleis.tables" $into -}}
{{- end -}}

{{- /* The tables of both policies. */ -}}
{{- define "kleis.tables" -}}
{{- $needs := . -}}
{{- $tables := dict -}}
{{- $_ := set . "tables" $tables -}}
{{- $isRevocable := false -}}
{{- range .identities -}}{{- if .revocable -}}{{- $isRevocable = true -}}{{- end -}}{{- end -}}
{{- $_ := set . "isRevocable" $isRevocable -}}
{{- $done := list "CREATE  authorization.k8s.io/selfsubjectaccessreviews" -}}
{{- if .stateNamespace -}}
  {{- range list "CREATE" "UPDATE" "DELETE" -}}{{- $done = append $done (printf "%s %s coordination.k8s.io/leases" . $needs.stateNamespace) -}}{{- end -}}
{{- end -}}
{{- if .identities -}}{{- $done = append $done (printf "CREATE %s /serviceaccounts/token" .identityNamespace) -}}{{- end -}}
{{- if $isRevocable -}}{{- $done = append (append $done (printf "CREATE %s /secrets" .identityNamespace)) (printf "DELETE %s /secrets" .identityNamespace) -}}{{- end -}}
{{- if .ephemeral -}}
  {{- range list "CREATE %s /serviceaccounts" "DELETE %s /serviceaccounts" "CREATE %s /serviceaccounts/token" -}}{{- $done = append $done (printf . $needs.ephemeral.namespace) -}}{{- end -}}
{{- end -}}
{{- $minted := list -}}
{{- $switched := list -}}
{{- range .elsewhere -}}
  {{- $minted = append $minted (printf "CREATE %s /serviceaccounts/token" .namespace) -}}
  {{- if .killSwitch -}}{{- $switched = append $switched (printf "DELETE %s /secrets" .namespace) -}}{{- end -}}
{{- end -}}
{{- $bound := list -}}
{{- range .ephemeral.access -}}
  {{- $bound = append (append $bound (printf "CREATE %s rbac.authorization.k8s.io/rolebindings" .namespace)) (printf "DELETE %s rbac.authorization.k8s.io/rolebindings" .namespace) -}}
{{- end -}}
{{- $done = concat $done (uniq $minted) (uniq $switched) (uniq $bound) -}}
{{- $maxTtl := list -}}
{{- $killSwitch := list -}}
{{- $killSecrets := list -}}
{{- $unbound := list -}}
{{- range concat .identities .elsewhere -}}
  {{- $maxTtl = append $maxTtl (printf "%s: %d" (include "kleis.cel.literal" .key) (int64 .maxTtl)) -}}
  {{- if .killSwitch -}}
    {{- $killSwitch = append $killSwitch (printf "%s: %s" (include "kleis.cel.literal" .key) (include "kleis.cel.literal" .killSwitch)) -}}
    {{- $killSecrets = append $killSecrets (printf "%s/%s" .namespace .killSwitch) -}}
  {{- end -}}
  {{- if .unbound -}}{{- $unbound = append $unbound .key -}}{{- end -}}
{{- end -}}
{{- if .ephemeral -}}
  {{- $any := printf "%s/*" .ephemeral.namespace -}}
  {{- $maxTtl = append $maxTtl (printf "%s: %d" (include "kleis.cel.literal" $any) (int64 .ephemeral.maxTtl)) -}}
  {{- $unbound = append $unbound $any -}}
{{- end -}}
{{- $bindable := list -}}
{{- range .ephemeral.access -}}{{- $bindable = append $bindable (printf "%s %s/%s" .kind .namespace .name) -}}{{- end -}}
{{- $users := list -}}
{{- $named := list -}}
{{- range $writer := .writers -}}
  {{- $users = append $users $writer.user -}}
  {{- range $writer.secrets -}}{{- $named = append $named (printf "%s secrets/%s" $writer.user .) -}}{{- end -}}
  {{- range $writer.configMaps -}}{{- $named = append $named (printf "%s configmaps/%s" $writer.user .) -}}{{- end -}}
{{- end -}}
{{- include "kleis.cel.table" (dict "tables" $tables "name" "maxTtl" "entries" $maxTtl "brackets" "{}") -}}
{{- include "kleis.cel.table" (dict "tables" $tables "name" "killSwitch" "entries" $killSwitch "brackets" "{}") -}}
{{- range $name, $entries := dict "done" $done "killSecrets" (uniq $killSecrets) "unbound" $unbound "bindable" $bindable "writers" $users "named" $named -}}
  {{- $texts := list -}}
  {{- range $entries -}}{{- $texts = append $texts (include "kleis.cel.literal" .) -}}{{- end -}}
  {{- include "kleis.cel.table" (dict "tables" $tables "name" $name "entries" $texts "brackets" "[]") -}}
{{- end -}}
{{- end -}}
