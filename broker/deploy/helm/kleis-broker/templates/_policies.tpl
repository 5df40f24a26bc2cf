{{- /* Made by `npm run generate` from broker/rbac. */ -}}
{{- define "kleis.policy.broker.nothing" -}}
{
  "failurePolicy": "Fail",
  "matchConstraints": {
    "matchPolicy": "Equivalent",
    "objectSelector": {},
    "resourceRules": [
      {
        "apiGroups": [
          "*"
        ],
        "apiVersions": [
          "*"
        ],
        "operations": [
          "*"
        ],
        "resources": [
          "*/*"
        ],
        "scope": "*"
      }
    ],
    "namespaceSelector": {}
  },
  "matchConditions": [
    {
      "name": "broker",
      "expression": "request.userInfo.username == '{{ .brokerUser }}'"
    }
  ],
  "variables": [
    {{ include "kleis.cel.variables" .tables.done }}
    {
      "name": "audiences",
      "expression": {{ include "kleis.cel.list" .audiences | toRawJson }}
    },
    {
      "name": "identities",
      "expression": "'{{ .identityNamespace }}'"
    },
    {
      "name": "kind",
      "expression": "request.resource.resource + (request.?subResource.orValue('') == '' ? '' : '/' + request.subResource)"
    },
    {
      "name": "what",
      "expression": "request.operation + ' ' + request.?namespace.orValue('') + ' ' + request.resource.group + '/' + variables.kind"
    },
    {
      "name": "o",
      "expression": "request.operation == 'DELETE' ? oldObject : object"
    },
    {
      "name": "account",
      "expression": "request.namespace + '/' + request.name"
    },
    {
      "name": "plain",
      "expression": "object.metadata.?finalizers.orValue([]).size() == 0 && object.metadata.?ownerReferences.orValue([]).size() == 0 && object.metadata.?labels.orValue({}).all(k, k.startsWith('kleis.dev/')) && object.metadata.?annotations.orValue({}).all(k, k.startsWith('kleis.dev/'))"
    }
  ],
  "validations": [
    {
      "message": "the broker does nothing but this, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "{{ include "kleis.cel.has" (list . "done" "variables.what") }}"
    },
    {
      "message": "the broker is here itself, with a token, not impersonated, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#clusters-that-the-broker-does-not-run-in",
      "expression": "request.userInfo.?extra['authentication.kubernetes.io/credential-id'].orValue([]).size() > 0"
    },
    {
      "message": "deletes are plain deletes",
      "expression": "request.operation != 'DELETE' || (request.options.?propagationPolicy.orValue('Background') == 'Background' && !has(request.options.orphanDependents))"
    },
    {
      "message": "no finalizers, owners or foreign labels and annotations",
      "expression": "!(request.operation in ['CREATE', 'UPDATE']) || !(variables.kind in ['secrets', 'serviceaccounts', 'rolebindings', 'leases']) || variables.plain"
    },
    {
      "message": "names begin with kleis-",
      "expression": "!(variables.kind in ['secrets', 'serviceaccounts', 'rolebindings']) || variables.o.metadata.name.startsWith('kleis-')"
    },
    {
      "message": "only empty Secrets of type kleis.dev/lease, and kill switches deleted",
      "expression": "variables.kind != 'secrets' || (variables.o.?data.orValue({}).size() == 0 && (request.namespace == variables.identities ? variables.o.type == 'kleis.dev/lease' : request.operation == 'DELETE' && variables.o.type == 'kleis.dev/kill-switch' && false))"
    }
  ]
}
{{- end -}}

{{- define "kleis.policy.broker.accounts" -}}
{
  "failurePolicy": "Fail",
  "matchConstraints": {
    "matchPolicy": "Equivalent",
    "objectSelector": {},
    "resourceRules": [
      {
        "apiGroups": [
          "*"
        ],
        "apiVersions": [
          "*"
        ],
        "operations": [
          "*"
        ],
        "resources": [
          "*/*"
        ],
        "scope": "*"
      }
    ],
    "namespaceSelector": {}
  },
  "matchConditions": [
    {
      "name": "broker",
      "expression": "request.userInfo.username == '{{ .brokerUser }}'"
    }
  ],
  "variables": [
    {{ include "kleis.cel.variables" .tables.done }}
    {{ include "kleis.cel.variables" .tables.maxTtl }}
    {{ include "kleis.cel.variables" .tables.killSwitch }}
    {{ include "kleis.cel.variables" .tables.killSecrets }}
    {{ include "kleis.cel.variables" .tables.unbound }}
    {
      "name": "audiences",
      "expression": {{ include "kleis.cel.list" .audiences | toRawJson }}
    },
    {
      "name": "identities",
      "expression": "'{{ .identityNamespace }}'"
    },
    {
      "name": "kind",
      "expression": "request.resource.resource + (request.?subResource.orValue('') == '' ? '' : '/' + request.subResource)"
    },
    {
      "name": "what",
      "expression": "request.operation + ' ' + request.?namespace.orValue('') + ' ' + request.resource.group + '/' + variables.kind"
    },
    {
      "name": "o",
      "expression": "request.operation == 'DELETE' ? oldObject : object"
    },
    {
      "name": "account",
      "expression": "request.namespace + '/' + request.name"
    },
    {
      "name": "plain",
      "expression": "object.metadata.?finalizers.orValue([]).size() == 0 && object.metadata.?ownerReferences.orValue([]).size() == 0 && object.metadata.?labels.orValue({}).all(k, k.startsWith('kleis.dev/')) && object.metadata.?annotations.orValue({}).all(k, k.startsWith('kleis.dev/'))"
    }
  ],
  "validations": [
    {
      "message": "the broker does nothing but this, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "{{ include "kleis.cel.has" (list . "done" "variables.what") }}"
    },
    {
      "message": "the broker is here itself, with a token, not impersonated, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#clusters-that-the-broker-does-not-run-in",
      "expression": "request.userInfo.?extra['authentication.kubernetes.io/credential-id'].orValue([]).size() > 0"
    },
    {
      "message": "deletes are plain deletes",
      "expression": "request.operation != 'DELETE' || (request.options.?propagationPolicy.orValue('Background') == 'Background' && !has(request.options.orphanDependents))"
    },
    {
      "message": "no finalizers, owners or foreign labels and annotations",
      "expression": "!(request.operation in ['CREATE', 'UPDATE']) || !(variables.kind in ['secrets', 'serviceaccounts', 'rolebindings', 'leases']) || variables.plain"
    },
    {
      "message": "names begin with kleis-",
      "expression": "!(variables.kind in ['secrets', 'serviceaccounts', 'rolebindings']) || variables.o.metadata.name.startsWith('kleis-')"
    },
    {
      "message": "only empty Secrets of type kleis.dev/lease, and kill switches deleted",
      "expression": "variables.kind != 'secrets' || (variables.o.?data.orValue({}).size() == 0 && (request.namespace == variables.identities ? variables.o.type == 'kleis.dev/lease' : request.operation == 'DELETE' && variables.o.type == 'kleis.dev/kill-switch' && {{ include "kleis.cel.has" (list . "killSecrets" "(request.namespace + '/' + variables.o.metadata.name)") }}))"
    },
    {
      "message": "no such account, or its tokens live shorter, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "variables.kind != 'serviceaccounts/token' || ({{ include "kleis.cel.has" (list . "maxTtl" "variables.account") }} && object.spec.expirationSeconds <= {{ include "kleis.cel.get" (list . "maxTtl" "variables.account") }})"
    },
    {
      "message": "audience not allowed, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "variables.kind != 'serviceaccounts/token' || object.spec.audiences.all(a, a in variables.audiences)"
    },
    {
      "message": "the token must be bound to its Secret, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "variables.kind != 'serviceaccounts/token' || (object.spec.?boundObjectRef.orValue(null) == null ? {{ include "kleis.cel.has" (list . "unbound" "variables.account") }} : object.spec.boundObjectRef.kind == 'Secret' && ({{ include "kleis.cel.has" (list . "killSwitch" "variables.account") }} ? object.spec.boundObjectRef.name == {{ include "kleis.cel.get" (list . "killSwitch" "variables.account") }} : request.namespace == variables.identities && object.spec.boundObjectRef.name.startsWith('kleis-')))"
    }
  ]
}
{{- end -}}

{{- define "kleis.policy.broker.ephemeral" -}}
{
  "failurePolicy": "Fail",
  "matchConstraints": {
    "matchPolicy": "Equivalent",
    "objectSelector": {},
    "resourceRules": [
      {
        "apiGroups": [
          "*"
        ],
        "apiVersions": [
          "*"
        ],
        "operations": [
          "*"
        ],
        "resources": [
          "*/*"
        ],
        "scope": "*"
      }
    ],
    "namespaceSelector": {}
  },
  "matchConditions": [
    {
      "name": "broker",
      "expression": "request.userInfo.username == '{{ .brokerUser }}'"
    }
  ],
  "variables": [
    {{ include "kleis.cel.variables" .tables.done }}
    {{ include "kleis.cel.variables" .tables.maxTtl }}
    {{ include "kleis.cel.variables" .tables.killSwitch }}
    {{ include "kleis.cel.variables" .tables.killSecrets }}
    {{ include "kleis.cel.variables" .tables.unbound }}
    {{ include "kleis.cel.variables" .tables.bindable }}
    {
      "name": "audiences",
      "expression": {{ include "kleis.cel.list" .audiences | toRawJson }}
    },
    {
      "name": "identities",
      "expression": "'{{ .identityNamespace }}'"
    },
    {
      "name": "kind",
      "expression": "request.resource.resource + (request.?subResource.orValue('') == '' ? '' : '/' + request.subResource)"
    },
    {
      "name": "what",
      "expression": "request.operation + ' ' + request.?namespace.orValue('') + ' ' + request.resource.group + '/' + variables.kind"
    },
    {
      "name": "o",
      "expression": "request.operation == 'DELETE' ? oldObject : object"
    },
    {
      "name": "account",
      "expression": "request.namespace + '/' + (request.namespace == '{{ .ephemeral.namespace }}' && request.name.startsWith('kleis-') ? '*' : request.name)"
    },
    {
      "name": "plain",
      "expression": "object.metadata.?finalizers.orValue([]).size() == 0 && object.metadata.?ownerReferences.orValue([]).size() == 0 && object.metadata.?labels.orValue({}).all(k, k.startsWith('kleis.dev/')) && object.metadata.?annotations.orValue({}).all(k, k.startsWith('kleis.dev/'))"
    }
  ],
  "validations": [
    {
      "message": "the broker does nothing but this, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "{{ include "kleis.cel.has" (list . "done" "variables.what") }}"
    },
    {
      "message": "the broker is here itself, with a token, not impersonated, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#clusters-that-the-broker-does-not-run-in",
      "expression": "request.userInfo.?extra['authentication.kubernetes.io/credential-id'].orValue([]).size() > 0"
    },
    {
      "message": "deletes are plain deletes",
      "expression": "request.operation != 'DELETE' || (request.options.?propagationPolicy.orValue('Background') == 'Background' && !has(request.options.orphanDependents))"
    },
    {
      "message": "no finalizers, owners or foreign labels and annotations",
      "expression": "!(request.operation in ['CREATE', 'UPDATE']) || !(variables.kind in ['secrets', 'serviceaccounts', 'rolebindings', 'leases']) || variables.plain"
    },
    {
      "message": "names begin with kleis-",
      "expression": "!(variables.kind in ['secrets', 'serviceaccounts', 'rolebindings']) || variables.o.metadata.name.startsWith('kleis-')"
    },
    {
      "message": "only empty Secrets of type kleis.dev/lease, and kill switches deleted",
      "expression": "variables.kind != 'secrets' || (variables.o.?data.orValue({}).size() == 0 && (request.namespace == variables.identities ? variables.o.type == 'kleis.dev/lease' : request.operation == 'DELETE' && variables.o.type == 'kleis.dev/kill-switch' && {{ include "kleis.cel.has" (list . "killSecrets" "(request.namespace + '/' + variables.o.metadata.name)") }}))"
    },
    {
      "message": "service accounts carry nothing",
      "expression": "variables.kind != 'serviceaccounts' || request.operation != 'CREATE' || (object.?secrets.orValue([]).size() == 0 && object.?imagePullSecrets.orValue([]).size() == 0 && object.?automountServiceAccountToken.orValue(true) == false)"
    },
    {
      "message": "only an ephemeral account is bound, and only to a Role of a grant, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "variables.kind != 'rolebindings' || ({{ include "kleis.cel.has" (list . "bindable" "(variables.o.roleRef.kind + ' ' + request.namespace + '/' + variables.o.roleRef.name)") }} && variables.o.?subjects.orValue([]).size() == 1 && variables.o.subjects.all(s, s.kind == 'ServiceAccount' && s.?namespace.orValue('') == '{{ .ephemeral.namespace }}' && s.name.startsWith('kleis-')))"
    },
    {
      "message": "no such account, or its tokens live shorter, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "variables.kind != 'serviceaccounts/token' || ({{ include "kleis.cel.has" (list . "maxTtl" "variables.account") }} && object.spec.expirationSeconds <= {{ include "kleis.cel.get" (list . "maxTtl" "variables.account") }})"
    },
    {
      "message": "audience not allowed, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "variables.kind != 'serviceaccounts/token' || object.spec.audiences.all(a, a in variables.audiences)"
    },
    {
      "message": "the token must be bound to its Secret, as far as the policy knows; after a change of the configuration apply what `kleis-broker rbac` prints, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#when-the-configuration-changes",
      "expression": "variables.kind != 'serviceaccounts/token' || (object.spec.?boundObjectRef.orValue(null) == null ? {{ include "kleis.cel.has" (list . "unbound" "variables.account") }} : object.spec.boundObjectRef.kind == 'Secret' && ({{ include "kleis.cel.has" (list . "killSwitch" "variables.account") }} ? object.spec.boundObjectRef.name == {{ include "kleis.cel.get" (list . "killSwitch" "variables.account") }} : request.namespace == variables.identities && object.spec.boundObjectRef.name.startsWith('kleis-')))"
    }
  ]
}
{{- end -}}

{{- define "kleis.policy.namespaces.nobody" -}}
{
  "failurePolicy": "Fail",
  "matchConstraints": {
    "matchPolicy": "Equivalent",
    "objectSelector": {},
    "resourceRules": [
      {
        "apiGroups": [
          "*"
        ],
        "apiVersions": [
          "*"
        ],
        "operations": [
          "*"
        ],
        "resources": [
          "*/*"
        ],
        "scope": "*"
      }
    ],
    "namespaceSelector": {
      "matchExpressions": [
        {
          "key": "kubernetes.io/metadata.name",
          "operator": "In",
          "values": {{ toRawJson .namespaces }}
        }
      ]
    }
  },
  "matchConditions": [
    {
      "name": "others",
      "expression": "request.userInfo.username != '{{ .brokerUser }}' && !('system:nodes' in request.userInfo.groups) && !('system:serviceaccounts:kube-system' in request.userInfo.groups && request.userInfo.?extra['authentication.kubernetes.io/credential-id'].orValue([]).size() > 0) && !request.userInfo.username.startsWith('system:kube-') && !(request.operation == 'CREATE' && request.resource.group == 'authorization.k8s.io')"
    },
    {
      "name": "who-may-not-change-this",
      "expression": "!((!request.userInfo.username.startsWith('system:serviceaccount:') || request.userInfo.?extra['authentication.kubernetes.io/credential-id'].orValue([]).size() > 0) && authorizer.group('admissionregistration.k8s.io').resource('validatingadmissionpolicies').check('update').allowed())"
    }
  ],
  "validations": [
    {
      "message": "these namespaces are Kleis's own: who else may write there stands in namespaces.writers of the broker's configuration, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#who-else-may-write-there",
      "expression": "false"
    }
  ]
}
{{- end -}}

{{- define "kleis.policy.namespaces.writers" -}}
{
  "failurePolicy": "Fail",
  "matchConstraints": {
    "matchPolicy": "Equivalent",
    "objectSelector": {},
    "resourceRules": [
      {
        "apiGroups": [
          "*"
        ],
        "apiVersions": [
          "*"
        ],
        "operations": [
          "*"
        ],
        "resources": [
          "*/*"
        ],
        "scope": "*"
      }
    ],
    "namespaceSelector": {
      "matchExpressions": [
        {
          "key": "kubernetes.io/metadata.name",
          "operator": "In",
          "values": {{ toRawJson .namespaces }}
        }
      ]
    }
  },
  "matchConditions": [
    {
      "name": "others",
      "expression": "request.userInfo.username != '{{ .brokerUser }}' && !('system:nodes' in request.userInfo.groups) && !('system:serviceaccounts:kube-system' in request.userInfo.groups && request.userInfo.?extra['authentication.kubernetes.io/credential-id'].orValue([]).size() > 0) && !request.userInfo.username.startsWith('system:kube-') && !(request.operation == 'CREATE' && request.resource.group == 'authorization.k8s.io')"
    },
    {
      "name": "who-may-not-change-this",
      "expression": "!((!request.userInfo.username.startsWith('system:serviceaccount:') || request.userInfo.?extra['authentication.kubernetes.io/credential-id'].orValue([]).size() > 0) && authorizer.group('admissionregistration.k8s.io').resource('validatingadmissionpolicies').check('update').allowed())"
    }
  ],
  "variables": [
    {{ include "kleis.cel.variables" .tables.writers }}
    {{ include "kleis.cel.variables" .tables.named }}
    {
      "name": "kind",
      "expression": "request.resource.group + '/' + request.resource.resource + (request.?subResource.orValue('') == '' ? '' : '/' + request.subResource)"
    },
    {
      "name": "writes",
      "expression": "request.operation in ['CREATE', 'UPDATE', 'DELETE']"
    },
    {
      "name": "o",
      "expression": "request.operation == 'DELETE' ? oldObject : object"
    },
    {
      "name": "ownSecret",
      "expression": "variables.kind == '/secrets' && variables.writes && {{ include "kleis.cel.has" (list . "named" "(request.userInfo.username + ' secrets/' + variables.o.metadata.name)") }} && variables.o.type != 'kubernetes.io/service-account-token'"
    },
    {
      "name": "ownConfigMap",
      "expression": "variables.kind == '/configmaps' && variables.writes && {{ include "kleis.cel.has" (list . "named" "(request.userInfo.username + ' configmaps/' + variables.o.metadata.name)") }}"
    },
    {
      "name": "nextKey",
      "expression": "variables.kind == '/secrets' && request.operation in ['CREATE', 'DELETE'] && variables.o.type == 'Opaque' && variables.o.metadata.?labels['cert-manager.io/next-private-key'].orValue('') == 'true' && variables.o.metadata.name.matches('-[bcdfghjklmnpqrstvwxz2456789]{5}$') && {{ include "kleis.cel.has" (list . "named" "(request.userInfo.username + ' secrets/' + variables.o.metadata.name.substring(0, variables.o.metadata.name.size() - 6))") }}"
    },
    {
      "name": "ownCertificate",
      "expression": "variables.kind == 'cert-manager.io/certificates' && variables.writes && {{ include "kleis.cel.has" (list . "named" "(request.userInfo.username + ' secrets/' + variables.o.spec.secretName)") }} && (request.operation != 'UPDATE' || oldObject.spec.secretName == object.spec.secretName)"
    },
    {
      "name": "record",
      "expression": "variables.kind in ['cert-manager.io/certificaterequests', 'acme.cert-manager.io/orders', 'acme.cert-manager.io/challenges', 'secrets-store.csi.x-k8s.io/secretproviderclasspodstatuses'] && variables.writes"
    },
    {
      "name": "event",
      "expression": "variables.kind in ['/events', 'events.k8s.io/events'] && request.operation in ['CREATE', 'UPDATE']"
    },
    {
      "name": "state",
      "expression": "request.operation == 'UPDATE' && request.resource.group.contains('.') && !request.resource.group.endsWith('.k8s.io') && (request.?subResource.orValue('') in ['status', 'finalizers'] || request.?subResource.orValue('') == '' && object.all(k, k in ['metadata', 'status'] || k in oldObject && object[k] == oldObject[k]) && oldObject.all(k, k in ['metadata', 'status'] || k in object)) && object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])"
    }
  ],
  "validations": [
    {
      "message": "these namespaces are Kleis's own: who else may write there stands in namespaces.writers of the broker's configuration, see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#who-else-may-write-there",
      "expression": "{{ include "kleis.cel.has" (list . "writers" "request.userInfo.username") }}"
    },
    {
      "message": "namespaces.writers lets this account write only what it names, in {{ .broker.namespace }}, with a token of its own: see https://github.com/kleis-dev/kleis/blob/main/docs/rbac.md#who-else-may-write-there",
      "expression": "!({{ include "kleis.cel.has" (list . "writers" "request.userInfo.username") }}) || (request.userInfo.?extra['authentication.kubernetes.io/credential-id'].orValue([]).size() > 0 && request.?namespace.orValue('') == '{{ .broker.namespace }}' && (variables.ownSecret || variables.ownConfigMap || variables.nextKey || variables.ownCertificate || variables.record || variables.event || variables.state))"
    }
  ]
}
{{- end -}}
