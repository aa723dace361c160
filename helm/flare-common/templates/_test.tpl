{{- /*
`helm test`: a pod of the same image that checks that the parent is ready (a site: registered, with a recent heartbeat) and, for
the server, that the certificate on the federation port was issued by this federation.

    {{ include "flare-common.test" . }}
*/}}

{{- define "flare-common.test" -}}
{{- $name := include "flare-common.fullname" . -}}
apiVersion: v1
kind: Pod
metadata:
  {{- include "flare-common.metadata" (list . (printf "%s-test" $name) "test" (dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded")) | nindent 2 }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ include "flare-common.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  activeDeadlineSeconds: {{ add .Values.tests.timeoutSeconds 60 }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with include "flare-common.imagePullSecrets" . | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "flare-common.scheduling" (omit .Values "affinity" "topologySpreadConstraints" "runtimeClassName") | trim }}{{ . | nindent 2 }}{{ end }}
  containers:
    - name: test
      image: {{ include "flare-common.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      command: [python3, -m, fl_app.checks.release_test]
      args:
        - {{ .Values.site.name | quote }}
        - "http://{{ include "flare-common.headlessName" . }}:{{ .Values.ports.telemetry }}"
        - {{ .Values.tests.timeoutSeconds | quote }}
        {{- if eq (include "flare-common.role" .) "server" }}
        - {{ include "flare-common.fullname" . | quote }}
        - {{ .Values.service.port | quote }}
        {{- end }}
      resources:
        requests: {cpu: 10m, memory: 64Mi}
        limits: {memory: 256Mi}
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- with include "flare-common.kit.mounts" . | trim }}{{ . | nindent 8 }}{{ end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 16Mi}
    {{- with include "flare-common.kit.volumes" . | trim }}{{ . | nindent 4 }}{{ end }}
{{- end }}
