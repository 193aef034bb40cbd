/** @file Which torch module a node comes from, by what the exporter left in the file. */

import type { NodeProto } from '../graph/proto.ts';

/** Where a module path was read: `inspect` shows it, since some sources are surer than others. */
export type PathSource = 'name-scopes' | 'node-name' | 'weight-name' | 'bias-name' | 'value-name';

const SCOPES = 'pkg.torch.onnx.name_scopes';

/**
 * The module path in the metadata that torch's dynamo exporter writes: a Python list literal such as
 * `['', 'vit', 'vit.layers.0', 'vit.layers.0.mlp.fc1', 'linear_3']`, whose last entry is the value's own name and the
 * one before it the module.
 */
export function pathFromScopes(node: NodeProto): string | undefined {
  const literal = node.metadataProps?.find(({ key }) => key === SCOPES)?.value;
  if (!literal) return undefined;
  const entries = [...literal.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g)].map(
    (match) => match[1] ?? match[2] ?? '',
  );
  const path = entries.at(-2);
  return path && !path.startsWith('_empty_nn_module_stack') ? path : undefined;
}

/**
 * The module path in a node name of torch's TorchScript exporter: `/vit/encoder/layer.0/attention/query/MatMul` gives
 * `vit.encoder.layer.0.attention.query`. A called Sequential or ModuleList repeats its own name (`/layer/layer.1`), which
 * is undone.
 */
export function pathFromNodeName(name: string | undefined): string | undefined {
  if (!name?.startsWith('/')) return undefined;
  const scopes = name.slice(1).split('/').slice(0, -1);
  const parts = scopes.filter((scope, i) => {
    const next = scopes[i + 1];
    return next === undefined || !(next.startsWith(`${scope}.`) && /^\d+$/.test(next.slice(scope.length + 1)));
  });
  return parts.length > 0 ? parts.join('.') : undefined;
}

/** The module path in a parameter's name: `classifier.weight` gives `classifier`. Anonymous names give undefined. */
export function pathFromParameter(name: string, parameter: 'weight' | 'bias'): string | undefined {
  const suffix = `.${parameter}`;
  return name.endsWith(suffix) && !name.includes('::') && !name.startsWith('/')
    ? name.slice(0, -suffix.length)
    : undefined;
}
