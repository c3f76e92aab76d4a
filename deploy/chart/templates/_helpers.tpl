{{/* Name of the release's objects: "cdp", or "<release>-cdp". */}}
{{- define "cdp.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Name of a role's objects. Takes (dict "root" $ "role" "segment_engine"). */}}
{{- define "cdp.roleName" -}}
{{ include "cdp.fullname" .root }}-{{ .role | replace "_" "-" }}
{{- end }}

{{/* Labels that select the pods of the release. */}}
{{- define "cdp.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels that select the pods of one role. */}}
{{- define "cdp.roleSelector" -}}
{{ include "cdp.selector" .root }}
app.kubernetes.io/component: {{ .role | replace "_" "-" }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "cdp.labels" -}}
{{ include "cdp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "cdp.roleLabels" -}}
{{ include "cdp.labels" .root }}
app.kubernetes.io/component: {{ .role | replace "_" "-" }}
{{- end }}

{{- define "cdp.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "cdp.archiveClaim" -}}
{{ .Values.archive.existingClaim | default (printf "%s-archive" (include "cdp.fullname" .)) }}
{{- end }}
