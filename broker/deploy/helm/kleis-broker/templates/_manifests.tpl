{{- /*
  The objects that `kleis-broker rbac` prints for the cluster that the broker runs in, as broker/rbac/manifests.ts makes
  them.
*/ -}}

{{- /* list: objects (a dict with `items`), needs, object. Puts the labels on. */ -}}
{{- define "kleis.add" -}}
{{- $into := index . 0 -}}
{{- $object := index . 2 -}}
{{- $labels := dict "app.kubernetes.io/instance" (index . 1).broker.namespace "app.kubernetes.io/managed-by" "kleis-broker" -}}
{{- $_ := set $object.metadata "labels" $labels -}}
{{- $_ := set $into "items" (append $into.items $object) -}}
{{- end -}}

{{- /* dict: name, access, account. */ -}}
{{- define "kleis.binding" -}}
{{- $metadata := dict "name" .name -}}
{{- if .access.namespace -}}{{- $_ := set $metadata "namespace" .access.namespace -}}{{- end -}}
{{- $_ := set . "object" (dict
  "apiVersion" "rbac.authorization.k8s.io/v1"
  "kind" (ternary "RoleBinding" "ClusterRoleBinding" (not (empty .access.namespace)))
  "metadata" $metadata
  "roleRef" (dict "apiGroup" "rbac.authorization.k8s.io" "kind" .access.kind "name" .access.name)
  "subjects" (list (dict "kind" "ServiceAccount" "name" .account.name "namespace" .account.namespace))) -}}
{{- end -}}

{{- /* list: rules (a dict of lists by namespace), namespace, group, resource, verbs, names (empty: of all). */ -}}
{{- define "kleis.rule" -}}
{{- $rule := dict "apiGroups" (list (index . 2)) "resources" (list (index . 3)) "verbs" (index . 4) -}}
{{- if index . 5 -}}{{- $_ := set $rule "resourceNames" (index . 5) -}}{{- end -}}
{{- $_ := set (index . 0) (index . 1) (append (get (index . 0) (index . 1) | default list) $rule) -}}
{{- end -}}

{{- /* What the broker may do, by namespace: needs → `rules`. */ -}}
{{- define "kleis.rules" -}}
{{- $rbac := "rbac.authorization.k8s.io" -}}
{{- $rules := dict -}}
{{- $needs := . -}}
{{- if .stateNamespace -}}
  {{- include "kleis.rule" (list $rules .stateNamespace "coordination.k8s.io" "leases" (list "create" "get" "list" "update" "delete") list) -}}
{{- end -}}
{{- if .identities -}}
  {{- $names := list -}}
  {{- range .identities -}}{{- $names = append $names .name -}}{{- end -}}
  {{- include "kleis.rule" (list $rules .identityNamespace "" "serviceaccounts/token" (list "create") $names) -}}
{{- end -}}
{{- include "kleis.rule" (list $rules .identityNamespace "" "secrets" (ternary (list "create" "delete") (list "create") .isRevocable) list) -}}
{{- if .ephemeral -}}
  {{- include "kleis.rule" (list $rules .ephemeral.namespace "" "serviceaccounts" (list "create" "delete") list) -}}
  {{- include "kleis.rule" (list $rules .ephemeral.namespace "" "serviceaccounts/token" (list "create") list) -}}
{{- end -}}
{{- $byNamespace := dict -}}
{{- range .elsewhere -}}
  {{- $there := get $byNamespace .namespace | default (dict "names" (list) "switches" (list)) -}}
  {{- $_ := set $there "names" (append $there.names .name) -}}
  {{- if .killSwitch -}}{{- $_ := set $there "switches" (append $there.switches .killSwitch) -}}{{- end -}}
  {{- $_ := set $byNamespace .namespace $there -}}
{{- end -}}
{{- range $namespace := keys $byNamespace | sortAlpha -}}
  {{- $there := index $byNamespace $namespace -}}
  {{- include "kleis.rule" (list $rules $namespace "" "serviceaccounts" (list "get") $there.names) -}}
  {{- include "kleis.rule" (list $rules $namespace "" "serviceaccounts/token" (list "create") $there.names) -}}
  {{- if $there.switches -}}
    {{- include "kleis.rule" (list $rules $namespace "" "secrets" (list "delete") (uniq $there.switches | sortAlpha)) -}}
  {{- end -}}
{{- end -}}
{{- $bound := dict -}}
{{- range .ephemeral.access -}}
  {{- $there := get $bound .namespace | default (dict "Role" (list) "ClusterRole" (list)) -}}
  {{- $_ := set $there .kind (append (index $there .kind) .name) -}}
  {{- $_ := set $bound .namespace $there -}}
{{- end -}}
{{- range $namespace := keys $bound | sortAlpha -}}
  {{- $there := index $bound $namespace -}}
  {{- include "kleis.rule" (list $rules $namespace $rbac "rolebindings" (list "create" "delete") list) -}}
  {{- if $there.Role -}}{{- include "kleis.rule" (list $rules $namespace $rbac "roles" (list "bind") $there.Role) -}}{{- end -}}
  {{- if $there.ClusterRole -}}{{- include "kleis.rule" (list $rules $namespace $rbac "clusterroles" (list "bind") $there.ClusterRole) -}}{{- end -}}
{{- end -}}
{{- $_ := set . "rules" $rules -}}
{{- end -}}

{{- /* needs → `items` of the dict `into`. */ -}}
{{- define "kleis.manifests" -}}
{{- $needs := .needs -}}
{{- $into := .into -}}
{{- $_ := set $into "items" list -}}
{{- range $needs.namespaces -}}
  {{- include "kleis.add" (list $into $needs (dict "apiVersion" "v1" "kind" "Namespace" "metadata" (dict "name" .))) -}}
{{- end -}}
{{- include "kleis.add" (list $into $needs (dict "apiVersion" "v1" "kind" "ServiceAccount" "metadata" (dict "name" $needs.broker.name "namespace" $needs.broker.namespace))) -}}
{{- range $needs.identities -}}
  {{- include "kleis.add" (list $into $needs (dict "apiVersion" "v1" "kind" "ServiceAccount" "metadata" (dict "name" .name "namespace" .namespace) "automountServiceAccountToken" false)) -}}
{{- end -}}
{{- $switches := dict -}}
{{- range $needs.elsewhere -}}
  {{- $key := printf "%s/%s" .namespace .killSwitch -}}
  {{- if and .killSwitch (not (hasKey $switches $key)) -}}
    {{- $_ := set $switches $key true -}}
    {{- include "kleis.add" (list $into $needs (dict "apiVersion" "v1" "kind" "Secret" "metadata" (dict "name" .killSwitch "namespace" .namespace) "type" "kleis.dev/kill-switch")) -}}
  {{- end -}}
{{- end -}}
{{- range $account := concat $needs.identities $needs.elsewhere -}}
  {{- range $access := $account.access -}}
    {{- $kind := ternary "" (print $access.kind ":") (eq $access.kind "Role") -}}
    {{- $made := dict "name" (include "kleis.fit" (printf "kleis:%s%s:%s:%s" $kind $account.namespace $account.name $access.name)) "access" $access "account" $account -}}
    {{- include "kleis.binding" $made -}}
    {{- include "kleis.add" (list $into $needs $made.object) -}}
  {{- end -}}
{{- end -}}
{{- include "kleis.rules" $needs -}}
{{- range $namespace := keys $needs.rules | sortAlpha -}}
  {{- include "kleis.add" (list $into $needs (dict "apiVersion" "rbac.authorization.k8s.io/v1" "kind" "Role" "metadata" (dict "name" $needs.name "namespace" $namespace) "rules" (index $needs.rules $namespace))) -}}
  {{- $made := dict "name" $needs.name "access" (dict "kind" "Role" "name" $needs.name "namespace" $namespace) "account" $needs.broker -}}
  {{- include "kleis.binding" $made -}}
  {{- include "kleis.add" (list $into $needs $made.object) -}}
{{- end -}}
{{- $hasTokens := or $needs.identities $needs.elsewhere $needs.ephemeral -}}
{{- $shape := ternary "ephemeral" (ternary "accounts" "nothing" (not (empty $hasTokens))) (not (empty $needs.ephemeral)) -}}
{{- $others := ternary "writers" "nobody" (not (empty $needs.writers)) -}}
{{- range list (list $needs.name "broker" $shape) (list $needs.namespacesPolicy "namespaces" $others) -}}
  {{- $name := index . 0 -}}
  {{- $spec := include (printf "kleis.policy.%s.%s" (index . 1) (index . 2)) $needs | fromJson -}}
  {{- include "kleis.add" (list $into $needs (dict "apiVersion" "admissionregistration.k8s.io/v1" "kind" "ValidatingAdmissionPolicy" "metadata" (dict "name" $name) "spec" $spec)) -}}
  {{- include "kleis.add" (list $into $needs (dict "apiVersion" "admissionregistration.k8s.io/v1" "kind" "ValidatingAdmissionPolicyBinding" "metadata" (dict "name" $name) "spec" (dict "policyName" $name "validationActions" (list "Deny")))) -}}
{{- end -}}
{{- end -}}
