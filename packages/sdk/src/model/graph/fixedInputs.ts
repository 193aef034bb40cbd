/** @file Replaces inputs by constants, and inlines branches that they decide. */

import { FeedCheck, feedError } from '../../adapter/serving/feedCheck.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { GraphProto, ModelProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { inferGraph } from '../../ops/inferGraph.ts';
import { dropUnreadInitializers, inlineKnownBranches, reachable } from '../../ops/rewrites/simplify.ts';
import { arrayOf, sizeOf, type Tensor, type TensorData } from '../../runtime/tensor.ts';

/** A constant input: a number or boolean for all elements, a row-major list, or a tensor. */
export type FixedValue = number | bigint | boolean | readonly (number | bigint | boolean)[] | Tensor;

/** Constants by input: `{ sr: 16000n }`. */
export type FixedInputs = Readonly<Record<string, FixedValue>>;

/**
 * Replaces inputs by constants, without the branches and nodes that become unused. Subgraphs' values must have unique
 * names.
 * @param name the model's name for errors
 * @throws OnnxLoraError `INPUT_INVALID` for an unknown input, or a value of another type or shape
 */
export function fixInputs<M extends ModelProto & { readonly graph: GraphProto }>(
  model: M,
  values: FixedInputs,
  name: string,
): M {
  const names = Object.keys(values);
  if (names.length === 0) return model;
  const types = inferGraph(model);
  const check = FeedCheck.of(model.graph);
  const tensors = names.map((input) => {
    if (!check.names.includes(input)) throw unknownInput(input, check.names, name);
    const feed = tensorOf(values[input]!, types.get(input) ?? {}, input, name);
    const fault = check.fault({ [input]: feed }, [], false);
    if (fault) throw feedError(name, fault, check, { feeds: { [input]: feed } });
    return tensorProto(input, feed);
  });
  const fixed = new Set(names);
  const graph: GraphProto = {
    ...model.graph,
    input: (model.graph.input ?? []).filter((info) => !fixed.has(info.name ?? '')),
    initializer: [...(model.graph.initializer ?? []), ...tensors],
  };
  const inlined = inlineKnownBranches(graph, inferGraph({ ...model, graph }));
  const outputs = (inlined.output ?? []).map((info) => info.name ?? '');
  const node = reachable(inlined.node ?? [], outputs);
  return { ...model, graph: dropUnreadInitializers({ ...inlined, node }) };
}

/**
 * @param files the .onnx files of the model
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for several files: parts, and merged files, would still require the input
 */
export function requireOneFile(values: FixedInputs, files: readonly string[], name: string): void {
  const [input] = Object.keys(values);
  if (input === undefined || files.length < 2) return;
  const shown = files.map((file) => `"${file}"`).join(', ');
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The input "${input}" of "${name}" cannot be fixed, since the model has ${files.length} files, which are also run one by one: ${shown}. Open the file that has the input by itself and fix it there, or leave it as an input.`,
  );
}

function tensorOf(value: FixedValue, { type = 'float32', shape }: ValueType, input: string, model: string): Tensor {
  // FeedCheck checks tensors.
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Tensor;
  const given = (Array.isArray(value) ? value : [value]) as readonly (number | bigint | boolean)[];
  const dims = isStatic(shape) ? shape : [given.length];
  const size = sizeOf(dims);
  const refuse = (why: string): OnnxLoraError =>
    new OnnxLoraError(
      'INPUT_INVALID',
      `The input "${input}" of "${model}" cannot be fixed to ${shown(given, Array.isArray(value))}: ${why}`,
    );
  if (type === 'float16' || type === 'bfloat16') throw refuse(`it is ${type}. Give a tensor.`);
  if (!isStatic(shape) && shape && shape.length !== 1)
    throw refuse(`its sizes [${shape.join(', ')}] are not known. Give a tensor, or fix another input.`);
  if (Array.isArray(value) ? given.length !== size : size > MOST) {
    throw refuse(`it takes ${size} values. Give as many in an array, or a tensor.`);
  }
  const data = new (arrayOf(type))(size) as Exclude<TensorData, Uint16Array>;
  const isBig = type === 'int64' || type === 'uint64';
  const isWhole = !type.startsWith('float');
  for (let i = 0; i < size; i++) {
    const each = given[Array.isArray(value) ? i : 0]!;
    const isNumber = ['number', 'bigint', ...(type === 'bool' ? ['boolean'] : [])].includes(typeof each);
    if (!isNumber || (isWhole && !Number.isInteger(Number(each))))
      throw refuse(`it takes ${isWhole ? 'whole numbers' : 'numbers'}. Give one.`);
    data[i] = (isBig ? BigInt(each) : Number(each)) as never;
    if (Number(data[i]) !== Number(each) && isWhole) throw refuse(`${String(each)} is out of range of ${type}.`);
  }
  return { type, dims, data };
}

/** A number fills only inputs that may be a setting; for an image it is a mistake. */
const MOST = 64;

function shown(values: readonly (number | bigint | boolean)[], isList: boolean): string {
  const text = isList ? `[${values.map(String).join(', ')}]` : String(values[0]);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function unknownInput(input: string, names: readonly string[], model: string): OnnxLoraError {
  return new OnnxLoraError(
    'INPUT_INVALID',
    `"${model}" has no input "${input}" to fix.${didYouMean(input, names)} Its inputs are ${names.join(', ')}.`,
  );
}
