/** @file Recovers a node's torch module path from the names that the exporter left in the file. */

import type { NodeProto, StringStringEntry } from '../graph/proto.ts';

/**
 * Source of a module path. `name-scopes`: torch's own. `scope-name`: scopes of another framework, such as Keras, or
 * rewritten by an optimizer. `output-name`: the layer's output value. `structure`: guessed from neighbouring layers.
 * `tensor-name`: the weight's name in a file with nodes named after operators. `tensor-name` and `value-name` are not
 * torch paths.
 */
export type PathSource =
  | 'name-scopes'
  | 'node-name'
  | 'weight-name'
  | 'bias-name'
  | 'scope-name'
  | 'output-name'
  | 'structure'
  | 'tensor-name'
  | 'value-name';

/** Confidence in a path. */
export type PathConfidence = 'certain' | 'likely' | 'unknown';

const confidences: Readonly<Record<PathSource, PathConfidence>> = {
  'name-scopes': 'certain',
  'node-name': 'certain',
  'weight-name': 'certain',
  'bias-name': 'likely',
  'scope-name': 'likely',
  'output-name': 'likely',
  structure: 'likely',
  'tensor-name': 'unknown',
  'value-name': 'unknown',
};

/** Confidence in paths from this source. */
export function confidenceOf(source: PathSource): PathConfidence {
  return confidences[source];
}

const SCOPES = 'pkg.torch.onnx.name_scopes';

/** Longer names are no torch paths. Names are untrusted input, and some work is quadratic in their length. */
const MAX_NAME = 1000;
const MAX_SCOPES = 20 * MAX_NAME;

/** A label for a layer without a path: its name, truncated if too long. */
export function shortName(name: string): string {
  return name.length > MAX_NAME ? `${name.slice(0, MAX_NAME - 100)}…${name.slice(-20)}` : name;
}

/**
 * The module path in the metadata of torch's dynamo exporter: a Python list literal such as `['', 'vit',
 * 'vit.layers.0', 'vit.layers.0.mlp.fc1', 'linear_3']`. The last entry is the value's name, the one before it the
 * module.
 */
export function pathFromScopes(node: NodeProto): string | undefined {
  const literal = node.metadataProps?.find(({ key }) => key === SCOPES)?.value;
  if (!literal || literal.length > MAX_SCOPES) return undefined;
  const entries = [...literal.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g)].map(
    (match) => match[1] ?? match[2] ?? '',
  );
  const path = entries.at(-2);
  if (!path || path.length > MAX_NAME) return undefined;
  return path.startsWith('_empty_nn_module_stack') ? undefined : path;
}

/** Prefixes the module paths in a metadata entry of the dynamo exporter; returns other entries unchanged. */
export function scopesUnder(entry: StringStringEntry, prefix: string): StringStringEntry {
  if (entry.key !== SCOPES || !entry.value) return entry;
  const last = entry.value.lastIndexOf(',');
  const modules = entry.value
    .slice(0, Math.max(0, last))
    .replaceAll(/(['"])((?:[^'"\\]|\\.)*)\1/g, (_, quote: string, path: string) => {
      return `${quote}${path === '' ? prefix : `${prefix}.${path}`}${quote}`;
    });
  return { ...entry, value: `${modules}${entry.value.slice(Math.max(0, last))}` };
}

/** The operator part of a node name, as exporters, optimizers and quantizers write it: `MatMul_1_quant`. */
const operator =
  /^(?:MatMul|Gemm|Conv|ConvTranspose|Gather|Einsum|FusedMatMul|FusedGemm|FusedConv|MatMulNBits|MatMulBnb4|MatMulInteger)(?:_.*)?$/;

/** The same for TensorFlow, where scopes may have an ONNX operator's name: `Conv_0/Conv2D`. */
const foreignOperator =
  /^(?:Conv[123]D(?:Backprop\w*)?|DepthwiseConv2dNative|depthwise|convolution|conv[123]d_transpose|BatchMatMul\w*|BiasAdd|Einsum|GatherV2|ResourceGather|embedding_lookup)(?:_.*)?$/;

/**
 * The module path in a node name of torch's TorchScript exporter: `/vit/encoder/layer.0/attention/query/MatMul` gives
 * `vit.encoder.layer.0.attention.query`. Removes the repeated name of a called Sequential or ModuleList
 * (`/layer/layer.1`) and suffixes of optimizers. Names without the leading slash, such as TensorFlow's, give their
 * scopes: `model/Conv_0/Conv2D` gives `model.Conv_0`.
 */
export function pathFromNodeName(name: string | undefined): string | undefined {
  if (!name?.includes('/') || name.length > MAX_NAME) return undefined;
  const parts = name.replace(/^\//, '').split('/');
  const isOperator = (part: string): boolean =>
    operator.test(part) || (!name.startsWith('/') && foreignOperator.test(part));
  const at = parts.findLastIndex(isOperator);
  // Without the leading slash, only a final operator marks a path of scopes.
  if (at < 0 && !name.startsWith('/')) return undefined;
  const scopes = at < 0 ? parts.slice(0, -1) : parts.slice(0, at);
  return pathOfScopes(name.startsWith('/') ? scopes : withoutCalls(scopes));
}

/** TensorFlow's scopes without function calls and composite products. */
function withoutCalls(scopes: readonly string[]): string[] {
  const own = scopes.filter((scope) => !/^(?:Stateful)?PartitionedCall(?:_\d+)?$/.test(scope));
  return own.at(-1) === 'Tensordot' ? own.slice(0, -1) : own;
}

/** The module path in a TorchScript value name, such as `/layer.0/attention/Reshape_3_output_0`. */
export function pathFromValueName(name: string): string | undefined {
  if (name.length > MAX_NAME) return undefined;
  const node = /^\/(.+)_output_\d+$/.exec(name)?.[1];
  return node === undefined ? undefined : pathOfScopes(node.split('/').slice(0, -1));
}

/** The scope of any node: `layer.0.norm` for `/layer.0/norm/Mul`. */
export function scopeOf(node: NodeProto): string | undefined {
  const fromMetadata = pathFromScopes(node);
  if (fromMetadata !== undefined) return fromMetadata;
  if (!node.name?.startsWith('/') || node.name.length > MAX_NAME) return undefined;
  return pathOfScopes(node.name.slice(1).split('/').slice(0, -1));
}

/** An exporter's node outside all modules, which gives another parameter of equal values the same tensor. */
export function copiesParameter(node: NodeProto): boolean {
  return node.opType === 'Identity' && scopeOf(node) === undefined;
}

function pathOfScopes(scopes: readonly string[]): string | undefined {
  const parts = scopes.filter((scope, i) => {
    const next = scopes[i + 1];
    return next === undefined || !(next.startsWith(`${scope}.`) && /^\d+$/.test(next.slice(scope.length + 1)));
  });
  return parts.length > 0 ? parts.join('.') : undefined;
}

/**
 * The module path in a parameter name: `classifier` for `classifier.weight` or the model builder's
 * `classifier.MatMul.weight`. Undefined for anonymous names.
 */
export function pathFromParameter(name: string, parameter: 'weight' | 'bias'): string | undefined {
  if (name.length > MAX_NAME) return undefined;
  const plain = withoutEndings(name);
  const suffix = `.${parameter}`;
  if (!plain.endsWith(suffix) || plain.includes('::') || plain.startsWith('/')) return undefined;
  const path = plain.slice(0, -suffix.length);
  const module = path.replace(/\.(?:MatMul|Gemm|Add|Conv)$/, '');
  // The builder names every attention `attn`; in the models that it builds it is `self_attn`.
  return module === path ? path : module.replace(/^(model\.layers\.\d+)\.attn\./, '$1.self_attn.');
}

/** Strips suffixes of tools: `a.weight_merged_0_quantized` and `a.weight_Q4G128_fp16` become `a.weight`. */
function withoutEndings(name: string): string {
  // Strip open-ended suffixes first: nested repetition would backtrack exponentially.
  const plain = name.replace(/(?:_Q[248]|_Bnb4|_DequantizeLinear)\w*$/, '');
  const short = plain.replace(/(?:[_/]merged_\d+|_quantized|_transposed|_fp16)$/, '');
  return short === name ? name : withoutEndings(short);
}

/** The layer in a weight's name: `dense_1` for `dense_1/kernel`; undefined for numbers and generated names. */
export function pathFromTensorName(name: string): string | undefined {
  if (name.length > MAX_NAME) return undefined;
  const plain = name
    .replace(/(?:_quantized|_Q[248]|_fp16|:0)+$/, '')
    .replace(/[./_](?:weights?|kernels?|[wW](?:_0)?)$/, '');
  const isAnonymous =
    /::|^(?:val|node|new_const|const_fold|onnx|Constant)_|^\W|constant|^(?:weight|kernel|[wW])$/i.test(plain);
  return /^[A-Za-z_]/.test(plain) && !isAnonymous ? plain.replaceAll('/', '.') : undefined;
}

/** Whether a node is named after its operator alone, as in files without scopes: `MatMul1`, `p2o.Conv.3`. */
export function isCalledByOperator({ name = '', opType = '' }: NodeProto): boolean {
  return name === '' || (name.includes(opType) && /^(?:p2o\.|node_)?[._]?\d*$/.test(name.replace(opType, '')));
}
