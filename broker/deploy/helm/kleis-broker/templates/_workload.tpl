{{- define "kleis.selector" -}}
app.kubernetes.io/name: kleis-broker
{{- end -}}

{{- define "kleis.labels" -}}
app.kubernetes.io/name: kleis-broker
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: kleis
{{- end -}}

{{- /* Name and namespace of what runs beside the broker's account. */ -}}
{{- define "kleis.metadata" -}}
name: kleis-broker
namespace: {{ .kleis.namespace | quote }}
labels:
  {{- include "kleis.labels" . | nindent 2 }}
{{- end -}}

{{- define "kleis.image" -}}
{{- $image := .Values.image -}}
{{- $image.repository -}}
{{- if $image.digest -}}@{{ $image.digest }}{{- else -}}:{{ $image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{- define "kleis.host" -}}
{{- (urlParse (.kleis.config.publicUrl | default "")).hostname -}}
{{- end -}}
