{{/* Environment of a role: who it is, where the others are, its secrets. Takes (dict "root" $ "role" name). */}}
{{- define "cdp.env" -}}
{{- $root := .root }}
{{- $secret := required "secrets.existingSecret is needed" .root.Values.secrets.existingSecret }}
{{- $keys := .root.Values.secrets -}}
- name: CDP_ROLES
  value: {{ .role }}
- name: CDP_GRPC_HOST
  value: "0.0.0.0"
- name: CDP_POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: CDP_ADVERTISED_ADDRESS
  value: "$(CDP_POD_IP):50051"
- name: CDP_GRPC_PORT
  value: "50051"
- name: CDP_HTTP_HOST
  value: "0.0.0.0"
- name: CDP_HTTP_PORT
  value: "8080"
- name: CDP_DATA_DIR
  value: /data
{{- range $name, $role := dict "CDP_INGEST_ADDRESS" "ingest" "CDP_PROFILE_ADDRESS" "profile_unification" "CDP_SEGMENT_ADDRESS" "segment_engine" "CDP_SCENARIO_ADDRESS" "scenario" "CDP_CHANNEL_ADDRESS" "channel" }}
- name: {{ $name }}
  value: {{ include "cdp.roleName" (dict "root" $root "role" $role) }}:50051
{{- end }}
{{- /* Each lets through its even share of a key's rate; scaled out by load, the shares stay those of the fewest. */}}
{{- $ingest := .root.Values.roles.ingest }}
- name: CDP_INGEST_PROCESSES
  value: {{ ternary $ingest.autoscaling.minReplicas $ingest.replicas $ingest.autoscaling.enabled | int | quote }}
- name: CDP_LOG_FORMAT
  value: json
- name: CDP_LOG_LEVEL
  value: {{ .root.Values.settings.logLevel | quote }}
- name: CDP_DRAIN_S
  value: {{ .root.Values.settings.drainS | quote }}
- name: CDP_MAXIMUM_CONCURRENT_RPCS
  value: {{ .root.Values.settings.maximumConcurrentRpcs | int | quote }}
{{- with .root.Values.publicUrl }}
- name: CDP_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
- name: CDP_REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $keys.redisUrlKey }}}}
- name: CDP_INTERNAL_TOKEN
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $keys.internalTokenKey }}}}
- name: CDP_TRACKING_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $keys.trackingKeyKey }}}}
{{- if eq .role "channel" }}
- name: CDP_SMTP_URL
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $keys.smtpUrlKey }}, optional: true}}
{{- end }}
{{- if and (eq .role "profile_unification") (not (has "profile_unification" .root.Values.archive.roles)) }}
- name: CDP_RESOLVED_LOG_ENTRIES
  value: "0"
{{- end }}
{{- with (index .root.Values.roles .role).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Pod template of a role. Takes (dict "root" $ "role" name). */}}
{{- define "cdp.podTemplate" -}}
{{- $values := .root.Values -}}
metadata:
  labels:
    {{- include "cdp.roleLabels" . | nindent 4 }}
    {{- with $values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    prometheus.io/scrape: "true"
    prometheus.io/port: "8080"
    prometheus.io/path: /metrics
    {{- with $values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "cdp.fullname" .root }}
  automountServiceAccountToken: false
  # Kubernetes would else set variables named after our Services, which look like settings and are refused.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add $values.settings.drainS 15 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: cdp
      image: {{ include "cdp.image" .root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [up]
      env: {{ include "cdp.env" . | nindent 8 }}
      ports:
        - {name: grpc, containerPort: 50051, protocol: TCP}
        - {name: http, containerPort: 8080, protocol: TCP}
      # A start may replay the log, so it is given ten minutes before liveness counts.
      startupProbe:
        grpc: {port: 50051}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 300
      readinessProbe:
        grpc: {port: 50051}
        periodSeconds: 5
        timeoutSeconds: 2
        failureThreshold: 2
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      resources: {{ toYaml (index $values.roles .role).resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        {{- if has .role $values.archive.roles }}
        - {name: data, mountPath: /data, subPath: {{ .role }}}
        {{- else }}
        - {name: data, mountPath: /data}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - {name: tmp, emptyDir: {sizeLimit: 256Mi}}
    {{- if has .role $values.archive.roles }}
    - {name: data, persistentVolumeClaim: {claimName: {{ include "cdp.archiveClaim" .root }}}}
    {{- else if ne .role "segment_engine" }}
    - {name: data, emptyDir: {sizeLimit: 1Gi}}
    {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{ include "cdp.roleSelector" . | nindent 10 }}
  {{- with $values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
