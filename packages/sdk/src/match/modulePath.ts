/** @file Which torch module a node comes from, by what the exporter left in the file. */

import type { NodeProto, StringStringEntry } from '../graph/proto.ts';

/**
 * Where a module path was read. `name-scopes` are torch's own words; `scope-name` are scopes of another framework, such as
 * Keras, or ones that an optimizer has rewritten; `output-name` is the name of the value that the layer yields; `structure`
 * is a guess from the layers around; `tensor-name` is what the weight is called in a file that calls nodes by their
 * operators; neither it nor a `value-name` is a torch path.
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

/** How sure a path is. */
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

/** How sure a path from this source is. */
export function confidenceOf(source: PathSource): PathConfidence {
  return confidences[source];
}

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

/** An entry of a node's metadata with the modules of dynamo's scopes under a path; other entries as they are. */
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

/** The part of a node name that is an operator, as exporters, optimizers and quantizers write it: `MatMul_1_quant`. */
const operator =
  /^(?:MatMul|Gemm|Conv|ConvTranspose|Gather|Einsum|FusedMatMul|FusedGemm|FusedConv|MatMulNBits|MatMulBnb4|MatMulInteger)(?:_.*)?$/;

/** The same in names of TensorFlow, whose scopes may be called as an operator of ONNX is: `Conv_0/Conv2D`. */
const foreignOperator =
  /^(?:Conv[123]D(?:Backprop\w*)?|DepthwiseConv2dNative|depthwise|convolution|conv[123]d_transpose|BatchMatMul\w*|BiasAdd|Einsum|GatherV2|ResourceGather|embedding_lookup)(?:_.*)?$/;

/**
 * The module path in a node name of torch's TorchScript exporter: `/vit/encoder/layer.0/attention/query/MatMul` gives
 * `vit.encoder.layer.0.attention.query`. A called Sequential or ModuleList repeats its own name (`/layer/layer.1`), which
 * is undone; what optimizers append behind the operator is dropped.
 *
 * Names without the leading slash, such as TensorFlow's, give the path of their scopes: `model/Conv_0/Conv2D` is
 * `model.Conv_0`.
 */
export function pathFromNodeName(name: string | undefined): string | undefined {
  if (!name?.includes('/')) return undefined;
  const parts = name.replace(/^\//, '').split('/');
  const isOperator = (part: string): boolean =>
    operator.test(part) || (!name.startsWith('/') && foreignOperator.test(part));
  const at = parts.findLastIndex(isOperator);
  // Without the leading slash only an operator at the end tells that it is a path of scopes.
  if (at < 0 && !name.startsWith('/')) return undefined;
  const scopes = at < 0 ? parts.slice(0, -1) : parts.slice(0, at);
  return pathOfScopes(name.startsWith('/') ? scopes : withoutCalls(scopes));
}

/** TensorFlow's scopes without those of function calls, and of a product that is made of several operators. */
function withoutCalls(scopes: readonly string[]): string[] {
  const own = scopes.filter((scope) => !/^(?:Stateful)?PartitionedCall(?:_\d+)?$/.test(scope));
  return own.at(-1) === 'Tensordot' ? own.slice(0, -1) : own;
}

/** The module in the name that torch's TorchScript exporter gives to a value: of `/layer.0/attention/Reshape_3_output_0`. */
export function pathFromValueName(name: string): string | undefined {
  const node = /^\/(.+)_output_\d+$/.exec(name)?.[1];
  return node === undefined ? undefined : pathOfScopes(node.split('/').slice(0, -1));
}

/** The module whose scope a node of any kind is in: of `/layer.0/norm/Mul` that is `layer.0.norm`. */
export function scopeOf(node: NodeProto): string | undefined {
  const fromMetadata = pathFromScopes(node);
  if (fromMetadata !== undefined) return fromMetadata;
  return node.name?.startsWith('/') ? pathOfScopes(node.name.slice(1).split('/').slice(0, -1)) : undefined;
}

function pathOfScopes(scopes: readonly string[]): string | undefined {
  const parts = scopes.filter((scope, i) => {
    const next = scopes[i + 1];
    return next === undefined || !(next.startsWith(`${scope}.`) && /^\d+$/.test(next.slice(scope.length + 1)));
  });
  return parts.length > 0 ? parts.join('.') : undefined;
}

/**
 * The module path in a parameter's name: `classifier.weight` gives `classifier`, and so does `classifier.MatMul.weight`, as
 * ONNX Runtime's model builder has it. Anonymous names give undefined.
 */
export function pathFromParameter(name: string, parameter: 'weight' | 'bias'): string | undefined {
  const plain = name.replace(
    /(?:_merged_\d+|_quantized|(?:_Q[248]|_Bnb4)\w*|_DequantizeLinear\w*|_transposed|_fp16)+$/,
    '',
  );
  const suffix = `.${parameter}`;
  if (!plain.endsWith(suffix) || plain.includes('::') || plain.startsWith('/')) return undefined;
  const path = plain.slice(0, -suffix.length);
  const module = path.replace(/\.(?:MatMul|Gemm|Add|Conv)$/, '');
  // The builder calls every model's attention so; in those that it builds it is `self_attn`.
  return module === path ? path : module.replace(/^(model\.layers\.\d+)\.attn\./, '$1.self_attn.');
}

/**
 * What a weight is called where that says which layer it is: `dense_1/kernel` and `conv2d_0.w_0` give `dense_1` and
 * `conv2d_0`, `coefficient1` itself. Numbers, and names that programs give to constants, give undefined.
 */
export function pathFromTensorName(name: string): string | undefined {
  const plain = name
    .replace(/(?:_quantized|_Q[248]|_fp16|:0)+$/, '')
    .replace(/[./_](?:weights?|kernels?|[wW](?:_0)?)$/, '');
  const isAnonymous =
    /::|^(?:val|node|new_const|const_fold|onnx|Constant)_|^\W|constant|^(?:weight|kernel|[wW])$/i.test(plain);
  return /^[A-Za-z_]/.test(plain) && !isAnonymous ? plain.replaceAll('/', '.') : undefined;
}

/** Whether a node is called by its operator alone, as files call theirs that keep no scopes: `MatMul1`, `p2o.Conv.3`. */
export function isCalledByOperator({ name = '', opType = '' }: NodeProto): boolean {
  return name === '' || (name.includes(opType) && /^(?:p2o\.|node_)?[._]?\d*$/.test(name.replace(opType, '')));
}
