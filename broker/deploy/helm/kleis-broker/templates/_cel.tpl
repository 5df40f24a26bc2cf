{{- /*
  CEL texts, as broker/rbac/expressions.ts makes them. A table is a list of parts, each `{name, expression}`, since cel-go
  reads 100 000 characters of one expression at most.
*/ -}}

{{- define "kleis.cel.literal" -}}
{{- if regexMatch "^[A-Za-z0-9 ._:/*@-]*$" . -}}'{{ . }}'{{- else -}}{{ toRawJson . }}{{- end -}}
{{- end -}}

{{- define "kleis.cel.list" -}}
{{- $texts := list -}}
{{- range . -}}{{- $texts = append $texts (include "kleis.cel.literal" .) -}}{{- end -}}
[{{ join ", " $texts }}]
{{- end -}}

{{- /* dict: tables, name, entries (their texts), brackets ("[]" or "{}"). */ -}}
{{- define "kleis.cel.table" -}}
{{- $open := substr 0 1 .brackets -}}
{{- $close := substr 1 2 .brackets -}}
{{- $parts := list -}}
{{- $texts := list -}}
{{- $length := 0 -}}
{{- $name := .name -}}
{{- range .entries -}}
  {{- $more := add (len .) 2 -}}
  {{- if and $texts (gt (int (add $length $more)) 50000) -}}
    {{- $parts = append $parts $texts -}}
    {{- $texts = list -}}
    {{- $length = 0 -}}
  {{- end -}}
  {{- $texts = append $texts . -}}
  {{- $length = add $length $more -}}
{{- end -}}
{{- if $texts -}}{{- $parts = append $parts $texts -}}{{- end -}}
{{- $table := list -}}
{{- range $index, $each := $parts -}}
  {{- $part := dict "name" (ternary $name (printf "%s%d" $name (add1 $index)) (eq $index 0)) "expression" (print $open (join ", " $each) $close) -}}
  {{- $table = append $table $part -}}
{{- end -}}
{{- $_ := set .tables .name $table -}}
{{- end -}}

{{- /* list: needs, name of the table, expression of the key. */ -}}
{{- define "kleis.cel.has" -}}
{{- $key := index . 2 -}}
{{- $terms := list -}}
{{- range index (index . 0).tables (index . 1) -}}{{- $terms = append $terms (printf "%s in variables.%s" $key .name) -}}{{- end -}}
{{- if not $terms -}}false
{{- else if eq (len $terms) 1 -}}{{ first $terms }}
{{- else -}}({{ join " || " $terms }})
{{- end -}}
{{- end -}}

{{- /* The same; only where `has` holds. */ -}}
{{- define "kleis.cel.get" -}}
{{- $key := index . 2 -}}
{{- $table := index (index . 0).tables (index . 1) -}}
{{- if not $table -}}''
{{- else if eq (len $table) 1 -}}variables.{{ (first $table).name }}[{{ $key }}]
{{- else -}}
({{- range initial $table -}}{{ $key }} in variables.{{ .name }} ? variables.{{ .name }}[{{ $key }}] : {{ end -}}
variables.{{ (last $table).name }}[{{ $key }}])
{{- end -}}
{{- end -}}

{{- /* The parts of a table as items of a JSON list, each with a comma behind it. */ -}}
{{- define "kleis.cel.variables" -}}
{{- range . -}}{{ toRawJson . }},
{{ end -}}
{{- end -}}
