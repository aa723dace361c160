{{- /*
Network policies, one for each kind of pod of a release. A connection that no rule allows is denied, in both directions. The
comment before each rule has the form "client --> server: reason".

    {{ include "flare-common.networkPolicy" . }}

PEERS is a list of peers as in a NetworkPolicy. Ports are those of the pod: policies apply behind Services.

    - {{ include "flare-common.netpol.to" (list PEERS PORTS) | nindent 6 }}
*/}}

{{- define "flare-common.netpol.to" -}}
to: {{- toYaml (index . 0) | nindent 2 }}
ports:
  {{- range index . 1 }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- end }}

{{- define "flare-common.netpol.from" -}}
from: {{- toYaml (index . 0) | nindent 2 }}
ports:
  {{- range index . 1 }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- end }}

{{- /* The pods of one component of this release, as a list of peers. */}}
{{- define "flare-common.netpol.own" -}}
- podSelector:
    matchLabels:
      {{- include "flare-common.selectorLabels" . | nindent 6 }}
{{- end }}

{{- define "flare-common.netpol.dns" -}}
# any pod --> DNS: every connection starts with a name lookup.
- to: {{- toYaml .Values.networkPolicy.dns.to | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - {protocol: UDP, port: {{ . }}}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{- define "flare-common.netpol.open" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "flare-common.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "flare-common.selectorLabels" (list (index . 0) (index . 2)) | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end }}

{{- /* Policy of the parent. */}}
{{- define "flare-common.networkPolicy" -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $policy := .Values.networkPolicy -}}
{{- $role := include "flare-common.role" . -}}
{{- $own := .Values.ports -}}
{{- include "flare-common.netpol.open" (list . (include "flare-common.fullname" .) $role) }}
  ingress:
    {{- with $policy.monitoring.from }}
    # monitoring --> telemetry: Prometheus reads the metrics.
    - {{ include "flare-common.netpol.from" (list . (list $own.telemetry)) | indent 6 | trim }}
    {{- end }}
    # helm test --> telemetry{{ if eq $role "server" }} and the federation port{{ end }}: it checks that this participant is ready.
    - {{ include "flare-common.netpol.from" (list (include "flare-common.netpol.own" (list . "test") | fromYamlArray) (ternary (list $own.telemetry $own.federation) (list $own.telemetry) (eq $role "server"))) | indent 6 | trim }}
    {{- if include "flare-common.launchesPods" . }}
    # job pods of this release --> their parent: they receive tasks and push metrics.
    - {{ include "flare-common.netpol.from" (list (include "flare-common.netpol.own" (list . "job") | fromYamlArray) (list $own.parent $own.telemetry)) | indent 6 | trim }}
    {{- end }}
    {{- if eq $role "server" }}
    # sites and administrators --> the federation: mutual TLS accepts only certificates of this federation.
    - ports:
        {{- range list $own.federation $own.admin | uniq }}
        - {protocol: TCP, port: {{ . }}}
        {{- end }}
      {{- with $policy.federation.from }}
      from: {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- if include "flare-common.hasTensorboard" . }}
    {{- with $policy.tensorboard.from }}
    # peers of the values --> TensorBoard: it has no authentication. `kubectl port-forward` needs no rule.
    - {{ include "flare-common.netpol.from" (list . (list $own.tensorboard)) | indent 6 | trim }}
    {{- end }}
    {{- end }}
    {{- with $policy.extraIngress }}
    # additional rules (networkPolicy.extraIngress).
    {{- toYaml . | nindent 4 }}
    {{- end }}
  egress:
    {{- include "flare-common.netpol.dns" . | nindent 4 }}
    {{- if eq $role "client" }}
    # this site --> the server: the only connection that leaves a site; the site opens it.
    - {{ include "flare-common.netpol.to" (list $policy.server.to $policy.server.ports) | indent 6 | trim }}
    {{- end }}
    {{- if include "flare-common.launchesPods" . }}
    # this parent --> the Kubernetes API: it starts and watches job pods.
    - {{ include "flare-common.netpol.to" (list $policy.apiServer.to $policy.apiServer.ports) | indent 6 | trim }}
    {{- end }}
    {{- if eq $role "server" }}
    {{- with $policy.tracking.to }}
    # this server --> MLflow or Weights & Biases: it forwards the values that sites log.
    - {{ include "flare-common.netpol.to" (list . $policy.tracking.ports) | indent 6 | trim }}
    {{- end }}
    {{- end }}
    {{- with $policy.extraEgress }}
    # additional rules (networkPolicy.extraEgress).
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}

{{- /* Policy of job pods. */}}
{{- define "flare-common.networkPolicy.jobs" -}}
{{- if and .Values.networkPolicy.enabled (include "flare-common.launchesPods" .) -}}
{{- $policy := .Values.networkPolicy -}}
{{- $role := include "flare-common.role" . -}}
{{- include "flare-common.netpol.open" (list . (printf "%s-jobs" (include "flare-common.fullname" .)) "job") }}
  # none --> a job pod: it opens every connection itself.
  ingress: []
  egress:
    {{- include "flare-common.netpol.dns" . | nindent 4 }}
    # a job pod --> its parent: it receives tasks and pushes metrics.
    - {{ include "flare-common.netpol.to" (list (include "flare-common.netpol.own" (list . $role) | fromYamlArray) (list .Values.ports.parent .Values.ports.telemetry)) | indent 6 | trim }}
    {{- with $policy.extraEgress }}
    # additional rules (networkPolicy.extraEgress): jobs need them.
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}

{{- /* Policy of the pod of `helm test`. */}}
{{- define "flare-common.networkPolicy.test" -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $role := include "flare-common.role" . -}}
{{- $own := .Values.ports -}}
{{- include "flare-common.netpol.open" (list . (printf "%s-test" (include "flare-common.fullname" .)) "test") }}
  # none --> the test.
  ingress: []
  egress:
    {{- include "flare-common.netpol.dns" . | nindent 4 }}
    # the test --> the parent of its release.
    - {{ include "flare-common.netpol.to" (list (include "flare-common.netpol.own" (list . $role) | fromYamlArray) (ternary (list $own.telemetry $own.federation) (list $own.telemetry) (eq $role "server"))) | indent 6 | trim }}
{{- end }}
{{- end }}
