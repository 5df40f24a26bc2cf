{{- /* What is wrong with the values for this cluster and this release. */ -}}

{{- define "kleis.judgeCluster" -}}
{{- $values := .Values -}}
{{- $config := .kleis.config -}}
{{- $certificate := $values.certificate -}}
{{- $ways := list -}}
{{- range list "secretName" "pem" "issuerRef" "endedByProxy" -}}{{- if get $certificate . -}}{{- $ways = append $ways . -}}{{- end -}}{{- end -}}
{{- $ways = without $ways (ternary "secretName" "" (has "issuerRef" $ways)) -}}
{{- if not $ways -}}
  {{- include "kleis.fault" (list . "certificate" "says not where the certificate of the broker comes from: write one of secretName (a Secret of yours), pem, issuerRef (cert-manager) or endedByProxy: true") -}}
{{- else if gt (len $ways) 1 -}}
  {{- include "kleis.fault" (list . "certificate" (printf "has %s: write one of them, since the broker has one certificate" (join " and " $ways))) -}}
{{- end -}}
{{- if $certificate.endedByProxy -}}
  {{- if hasKey $config.listen "tls" -}}{{- include "kleis.fault" (list . "certificate.endedByProxy" "contradicts config.listen.tls: leave one of the two out") -}}{{- end -}}
  {{- if not $config.trustedProxies -}}
    {{- include "kleis.fault" (list . "config.trustedProxies" "is missing, and with certificate.endedByProxy the broker serves plain HTTP: name the addresses or networks of the proxies, like [10.244.0.0/16], which alone are served") -}}
  {{- end -}}
{{- end -}}
{{- if not (hasPrefix "https://" (lower $config.publicUrl)) -}}
  {{- include "kleis.fault" (list . "config.publicUrl" "must begin with https://: callers send tokens there") -}}
{{- end -}}
{{- range $field, $address := dict "listen.address" $config.listen.address "metrics.listen" $config.metrics.listen -}}
  {{- $port := int (regexFind "[0-9]+$" $address) -}}
  {{- if or (lt $port 1024) (gt $port 65535) -}}
    {{- include "kleis.fault" (list $ (printf "config.%s" $field) (printf "is %s: the broker is not root in its pod, so write :PORT with a port from 1024 to 65535, or leave it out" $address)) -}}
  {{- else if not (regexMatch "^(|0\\.0\\.0\\.0|\\[::\\]):[0-9]+$" $address) -}}
    {{- include "kleis.fault" (list $ (printf "config.%s" $field) (printf "is %s: a pod is reached at an address that nobody knows before, so write :PORT, or leave it out" $address)) -}}
  {{- end -}}
{{- end -}}
{{- if eq .kleis.port .kleis.metricsPort -}}
  {{- include "kleis.fault" (list . "config.metrics.listen" "has the port of config.listen: everybody would see the metrics, which have the names of grants in them") -}}
{{- end -}}
{{- include "kleis.judgeFiles" . -}}
{{- if .kleis.cluster -}}
  {{- $own := include "kleis.ownNamespaces" (list . .kleis.cluster (index .kleis.clusters .kleis.cluster)) | fromJson -}}
  {{- if has .Release.Namespace (values $own) -}}
    {{- include "kleis.fault" (list . "--namespace" (printf "is %s, which the chart itself makes and labels: helm cannot do that where it keeps its own records. Use another, like --namespace kleis --create-namespace" .Release.Namespace)) -}}
  {{- end -}}
{{- end -}}
{{- /* Without a cluster (helm template, helm lint) no kinds are known at all. */ -}}
{{- $isCluster := .Capabilities.APIVersions.Has "v1/Namespace" -}}
{{- if and $isCluster (not (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy")) -}}
  {{- include "kleis.fault" (list . "(cluster)" "has no ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1): without it RBAC alone confines the broker, and whoever takes it over can read Secrets. Use Kubernetes 1.30 or later, and do not switch it off by --runtime-config") -}}
{{- end -}}
{{- $asked := dict "certificate.issuerRef" (list $certificate.issuerRef "cert-manager.io/v1/Certificate" "cert-manager") "httpRoute.enabled" (list $values.httpRoute.enabled "gateway.networking.k8s.io/v1/HTTPRoute" "the Gateway API") "serviceMonitor.enabled" (list $values.serviceMonitor.enabled "monitoring.coreos.com/v1/ServiceMonitor" "the Prometheus operator") "prometheusRule.enabled" (list $values.prometheusRule.enabled "monitoring.coreos.com/v1/PrometheusRule" "the Prometheus operator") -}}
{{- range $path, $ask := $asked -}}
  {{- if and (index $ask 0) $isCluster (not ($.Capabilities.APIVersions.Has (index $ask 1))) -}}
    {{- include "kleis.fault" (list $ $path (printf "needs %s, and the cluster has no %s: install that first, or leave %s out" (index $ask 2) (index $ask 1) $path)) -}}
  {{- end -}}
{{- end -}}
{{- if or $values.ingress.enabled $values.httpRoute.enabled -}}
  {{- if (urlParse $config.publicUrl).path | trimSuffix "/" -}}
    {{- include "kleis.fault" (list . "config.publicUrl" "has a path, and the broker answers at the root: what stands before it must take the path away, which an Ingress cannot say in a way that all understand. Leave the path out, or write your own Ingress") -}}
  {{- end -}}
{{- end -}}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) -}}
  {{- include "kleis.fault" (list . "httpRoute.parentRefs" "is empty: name the Gateway, like [{ name: public, namespace: gateways }]") -}}
{{- end -}}
{{- end -}}

{{- /* Every file that config names is in a volume. */ -}}
{{- define "kleis.judgeFiles" -}}
{{- $config := .kleis.config -}}
{{- $named := dict -}}
{{- range $name, $issuer := $config.issuers -}}
  {{- range $field := list "certificateAuthority" "jwks" -}}{{- with get $issuer $field -}}{{- $_ := set $named (printf "config.issuers.%s.%s" $name $field) . -}}{{- end -}}{{- end -}}
  {{- with ($issuer.signIn | default dict).certificateAuthority -}}{{- $_ := set $named (printf "config.issuers.%s.signIn.certificateAuthority" $name) . -}}{{- end -}}
{{- end -}}
{{- range $name, $cluster := $config.clusters -}}
  {{- with $cluster.certificateAuthority -}}{{- $_ := set $named (printf "config.clusters.%s.certificateAuthority" $name) . -}}{{- end -}}
  {{- range $field := list "kubeconfig" "tokenFile" -}}{{- with get $cluster.credentials $field -}}{{- $_ := set $named (printf "config.clusters.%s.credentials.%s" $name $field) . -}}{{- end -}}{{- end -}}
{{- end -}}
{{- range $field := list "clientSecretFile" "cookieKeyFile" -}}{{- with get ($config.web | default dict) $field -}}{{- $_ := set $named (printf "config.web.%s" $field) . -}}{{- end -}}{{- end -}}
{{- range $field := list "certFile" "keyFile" -}}{{- with get ($config.listen.tls | default dict) $field -}}{{- $_ := set $named (printf "config.listen.tls.%s" $field) . -}}{{- end -}}{{- end -}}
{{- if ne $config.audit.file "-" -}}{{- $_ := set $named "config.audit.file" $config.audit.file -}}{{- end -}}
{{- $folders := list "/etc/kleis" "/var/run/secrets/kubernetes.io/serviceaccount" -}}
{{- if not .Values.certificate.endedByProxy -}}{{- $folders = append $folders "/tls" -}}{{- end -}}
{{- range .Values.mounts -}}
  {{- if or (has (clean .path) $folders) (hasPrefix "/etc/kleis/" (clean .path)) -}}{{- include "kleis.fault" (list $ "mounts" (printf "has %s, where something is mounted already" .path)) -}}{{- end -}}
  {{- if has .name (list "config" "tls" "account") -}}{{- include "kleis.fault" (list $ "mounts" (printf "has the name %s, which is the chart's own: choose another" .name)) -}}{{- end -}}
  {{- $folders = append $folders (clean .path) -}}
{{- end -}}
{{- range $path, $file := $named -}}
  {{- $found := hasKey $.Values.files $file -}}
  {{- range $folders -}}{{- if hasPrefix (print (trimSuffix "/" .) "/") $file -}}{{- $found = true -}}{{- end -}}{{- end -}}
  {{- if not $found -}}
    {{- include "kleis.fault" (list $ $path (printf "is %s, which would not be there: put it into files by that name (what everybody may read), or add the volume that has it to mounts" $file)) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.files -}}
  {{- if regexMatch "\\.ya?ml$" $name -}}{{- include "kleis.fault" (list $ (printf "files.%s" $name) "would be read as one more file of the configuration: call it something else") -}}{{- end -}}
{{- end -}}
{{- end -}}
