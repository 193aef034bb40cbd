/** @file Triton's `config.pbtxt`: `ModelConfig` of model_config.proto in protobuf's text format. */

import { OnnxLoraError } from '../../errors.ts';
import { dataTypeName } from '../../graph/dataType.ts';

/** An input or output. */
export interface TritonPort {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly (number | string)[] | undefined;
}

/** ONNX's string, a type that the SDK does not support. */
const STRING = 8;

const types: Readonly<Record<string, string>> = {
  float32: 'FP32', float64: 'FP64', float16: 'FP16', bfloat16: 'BF16', bool: 'BOOL', uint8: 'UINT8', uint16: 'UINT16',
  uint32: 'UINT32', uint64: 'UINT64', int8: 'INT8', int16: 'INT16', int32: 'INT32', int64: 'INT64',
}; // prettier-ignore

/** Config of an .onnx model. `max_batch_size` 0: otherwise Triton's ONNX Runtime backend refuses optional inputs. */
export function tritonModel(
  name: string,
  inputs: readonly TritonPort[],
  outputs: readonly TritonPort[],
  optional: readonly TritonPort[] = [],
): string {
  const fed = [...inputs.map((each) => port(each)), ...optional.map((each) => port(each, ['optional: true']))];
  return lines([
    `name: ${JSON.stringify(name)}`,
    'backend: "onnxruntime"',
    'max_batch_size: 0',
    ...fed.map((each) => block('input', each)),
    ...outputs.map((each) => block('output', port(each))),
    block('instance_group', ['count: 1', 'kind: KIND_AUTO']),
  ]);
}

/** Config of an adapter's ensemble: a model with its tensors feeds the base. */
export function tritonEnsemble(
  name: string,
  models: { readonly base: string; readonly weights: string },
  inputs: readonly TritonPort[],
  outputs: readonly TritonPort[],
  tensors: readonly TritonPort[],
): string {
  return lines([
    `name: ${JSON.stringify(name)}`,
    'platform: "ensemble"',
    'max_batch_size: 0',
    ...inputs.map((each) => block('input', port(each))),
    ...outputs.map((each) => block('output', port(each))),
    block('ensemble_scheduling', [
      step(models.weights, inputs.slice(0, 1), tensors),
      step(models.base, [...inputs, ...tensors], outputs),
    ]),
  ]);
}

function step(model: string, inputs: readonly TritonPort[], outputs: readonly TritonPort[]): string {
  const mapped = (kind: string) => ({ name }: TritonPort) =>
    `${kind} { key: ${JSON.stringify(name)} value: ${JSON.stringify(name)} }`; // prettier-ignore
  return block('step', [
    `model_name: ${JSON.stringify(model)}`,
    'model_version: -1',
    ...inputs.map(mapped('input_map')),
    ...outputs.map(mapped('output_map')),
  ]);
}

function port({ name, type, dims }: TritonPort, more: readonly string[] = []): string[] {
  const known = type === STRING ? 'STRING' : types[dataTypeName(type) ?? ''];
  if (known === undefined || dims === undefined) {
    const what = dims ? `elements of ONNX's type ${type}` : 'a shape that nobody knows';
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" has ${what}, which Triton has no name for. Export the model without it.`,
    );
  }
  // Triton has no scalars: a scalar is written as one element.
  const sizes = dims.length === 0 ? [1] : dims.map((dim) => (typeof dim === 'number' ? dim : -1));
  return [`name: ${JSON.stringify(name)}`, `data_type: TYPE_${known}`, `dims: [ ${sizes.join(', ')} ]`, ...more];
}

function block(name: string, content: readonly string[]): string {
  return `${name} {\n${content.map((each) => each.replaceAll(/^/gm, '  ')).join('\n')}\n}`;
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}
