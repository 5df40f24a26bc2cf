{{- /*
  What the broker is given: `config` of the values, and what the chart knows by itself. Everything that the templates share
  is kept in `.kleis` of the root, made once: config, clusters, cluster (its name), needs, items, faults, port, metricsPort.
*/ -}}

{{- define "kleis.prepare" -}}
{{- if not (hasKey . "kleis") -}}
  {{- $_ := set . "kleis" (dict "faults" (list)) -}}
  {{- include "kleis.complete" . -}}
  {{- include "kleis.judge" . -}}
  {{- include "kleis.judgeCluster" . -}}
  {{- if .kleis.faults -}}
    {{- fail (printf "\n\nThe values of kleis-broker cannot be used:\n\n  %s\n" (join "\n  " .kleis.faults)) -}}
  {{- end -}}
  {{- $needs := dict -}}
  {{- include "kleis.needs" (dict "config" .kleis.config "name" .kleis.cluster "clusters" .kleis.clusters "into" $needs) -}}
  {{- include "kleis.manifests" (dict "needs" $needs "into" .kleis) -}}
  {{- $_ := set .kleis "needs" $needs -}}
{{- end -}}
{{- end -}}

{{- define "kleis.complete" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "apiVersion" "kleis.dev/v1" -}}
{{- $_ := set $config "kind" "BrokerConfig" -}}
{{- $clusters := dict -}}
{{- $inside := list -}}
{{- range $name, $cluster := $config.clusters -}}
  {{- $whole := dict "identityNamespace" "kleis-identities" "ephemeralNamespace" "kleis-ephemeral" "systemNamespace" "kleis-system" "serviceAccount" "kleis-broker" -}}
  {{- $_ := set $clusters $name (mergeOverwrite $whole (deepCopy $cluster)) -}}
  {{- if $cluster.credentials.inCluster -}}{{- $inside = append $inside $name -}}{{- end -}}
{{- end -}}
{{- $name := first $inside | default "" -}}
{{- if not (hasKey $config "state") -}}{{- $_ := set $config "state" (dict "cluster" $name) -}}{{- end -}}
{{- if not (hasKey $config "audit") -}}{{- $_ := set $config "audit" (dict "file" "-") -}}{{- end -}}
{{- if not (hasKey $config "metrics") -}}{{- $_ := set $config "metrics" (dict "listen" ":9090") -}}{{- end -}}
{{- if not (hasKey $config "listen") -}}{{- $_ := set $config "listen" (dict "address" ":8443") -}}{{- end -}}
{{- if not (or (hasKey $config.listen "tls") .Values.certificate.endedByProxy) -}}
  {{- $_ := set $config.listen "tls" (dict "certFile" "/tls/tls.crt" "keyFile" "/tls/tls.key") -}}
{{- end -}}
{{- with .Values.certificate.issuerRef -}}
  {{- $writer := dict "serviceAccount" ($.Values.certificate.controller | default "cert-manager/cert-manager") "secrets" (list (include "kleis.tlsSecret" $)) -}}
  {{- $namespaces := $config.namespaces | default dict -}}
  {{- $_ := set $namespaces "writers" (append ($namespaces.writers | default list) $writer) -}}
  {{- $_ := set $config "namespaces" $namespaces -}}
{{- end -}}
{{- $_ := set .kleis "config" $config -}}
{{- $_ := set .kleis "clusters" $clusters -}}
{{- $_ := set .kleis "cluster" $name -}}
{{- $_ := set .kleis "inside" (sortAlpha $inside) -}}
{{- $_ := set .kleis "namespace" (get (get $clusters $name | default dict) "systemNamespace" | default "kleis-system") -}}
{{- $_ := set .kleis "port" (regexFind "[0-9]+$" $config.listen.address | default "0") -}}
{{- $_ := set .kleis "metricsPort" (regexFind "[0-9]+$" $config.metrics.listen | default "0") -}}
{{- end -}}

{{- define "kleis.tlsSecret" -}}
{{- .Values.certificate.secretName | default "kleis-tls" -}}
{{- end -}}

{{- /* list: root, path, message. */ -}}
{{- define "kleis.fault" -}}
{{- $kleis := (index . 0).kleis -}}
{{- $_ := set $kleis "faults" (append $kleis.faults (printf "%s %s" (index . 1) (index . 2))) -}}
{{- end -}}
