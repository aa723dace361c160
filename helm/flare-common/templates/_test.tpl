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
      command: [python3, -c]
      args:
        - |
          {{- include "flare-common.test.script" . | nindent 10 }}
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

{{- define "flare-common.test.script" -}}
import socket, ssl, sys, time, urllib.error, urllib.request

url = "http://{{ include "flare-common.headlessName" . }}:{{ .Values.ports.telemetry }}/readyz"
deadline = time.monotonic() + {{ .Values.tests.timeoutSeconds }}
while True:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            print("ready:", answer.read().decode().strip())
            break
    except urllib.error.HTTPError as error:
        reason = f"{error.code} {error.read().decode().strip()}"
    except OSError as error:
        reason = str(error)
    if time.monotonic() > deadline:
        sys.exit({{ printf "%s is not ready: " .Values.site.name | toJson }} + reason)
    time.sleep(1)
{{- if eq (include "flare-common.role" .) "server" }}

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False  # the certificate lacks the Service name; the root certificate decides
context.load_verify_locations("/etc/flare/kit/startup/rootCA.pem")
context.set_alpn_protocols(["h2"])
address = ({{ include "flare-common.fullname" . | toJson }}, {{ .Values.service.port }})
with socket.create_connection(address, 10) as plain, context.wrap_socket(plain, server_hostname=address[0]) as tls:
    print("federation port:", tls.version(), "certificate valid until", tls.getpeercert()["notAfter"])
{{- end }}
{{- end }}
