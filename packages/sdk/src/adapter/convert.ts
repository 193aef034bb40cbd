/** @file Between PEFT's adapters and the tensors of an `.onnx_adapter`, which are what a graph is fed. */

import { OnnxLoraError } from '../errors.ts';
import { transposed } from '../runtime/layout.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import { Adapter } from './adapter.ts';
import { writeFileAtomic } from './atomicFile.ts';
import { floats } from './feeds.ts';
import { formatOrtAdapter } from './ortAdapter.ts';
import { type AdapterConfig, scalingOf, adapterConfig } from './peftConfig.ts';
import { parseTensorName, tensorName } from './tensorNames.ts';

/**
 * Some exporters leave `.weight` out. PEFT's own names, with its prefix, would mean PEFT's layout and a scaling that
 * nobody has written down.
 */
const ORT_NAME = /^(?!base_model\.model\.)(.+)\.(lora_A|lora_B)(?:\.weight)?$/;

/** The two factors of one module. */
interface Factors {
  A?: Tensor;
  B?: Tensor;
}

/**
 * The tensors that ONNX Runtime feeds: for each module `<path>.lora_A.weight` `[in, r]` and `<path>.lora_B.weight`
 * `[r, out]`, the scaling inside B. Float32, whatever the adapter has.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for what such a file cannot say: DoRA's magnitude, modules trained in full,
 *   biases of B, adapted embeddings; `ADAPTER_INVALID` for half of a pair
 */
export function toOrtAdapter(adapter: Adapter): Map<string, Tensor> {
  const modules = new Map<string, Factors>();
  for (const [name, tensor] of adapter.tensors) {
    const { module, role } = parseTensorName(name);
    // A copy of the base changes nothing.
    if (role === 'base_layer.weight' || role === 'base_layer.bias') continue;
    if (role !== 'lora_A' && role !== 'lora_B') {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `The adapter's tensor "${name}" is ${inWords[role]}, which an .onnx_adapter cannot hold: it has low-rank pairs only. Keep the PEFT folder, or merge the adapter into the model.`,
      );
    }
    addFactor(modules, module, role, matrix(tensor, name, 'INPUT_INVALID'));
  }
  const result = new Map<string, Tensor>();
  for (const [module, factors] of modules) {
    const { A, B } = pair(module, factors);
    const [r, width] = A.dims as [number, number];
    const [out, rank] = B.dims as [number, number];
    requireRank(module, r, rank);
    const { scaling } = scalingOf(adapter.config, module);
    result.set(`${module}.lora_A.weight`, float32(transposed(floats(A), r, width), [width, r]));
    result.set(`${module}.lora_B.weight`, float32(transposed(floats(B), out, r, scaling), [r, out]));
  }
  return result;
}

const inWords = {
  'lora_B.bias': 'a bias of lora_B',
  lora_embedding_A: 'part of an adapted embedding',
  lora_embedding_B: 'part of an adapted embedding',
  lora_magnitude_vector: "DoRA's magnitude",
  trainable_tokens_delta: 'a set of trained token embeddings',
  parameter: 'a parameter trained in full (modules_to_save or bias)',
} as const;

/**
 * The adapter that such tensors make. The scaling is inside B already, so alpha equals r; targets are full module paths.
 * The file does not say which base it belongs to.
 *
 * @param name how errors call the file
 * @throws OnnxLoraError `ADAPTER_INVALID` for tensors that are no low-rank pairs named `<module path>.lora_A.weight`
 */
export function fromOrtAdapter(tensors: ReadonlyMap<string, Tensor>, name = 'the .onnx_adapter'): Adapter {
  const modules = new Map<string, Factors>();
  for (const [key, tensor] of tensors) {
    const [, module, role] = ORT_NAME.exec(key) ?? [];
    if (module === undefined || role === undefined) {
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `"${name}" holds the tensor "${key}", and only tensors named <module path>.lora_A.weight and <module path>.lora_B.weight can be read. Save it again with onnx-lora, or load it with ONNX Runtime for the model that it was made for.`,
      );
    }
    addFactor(modules, module, role as 'lora_A' | 'lora_B', matrix(tensor, key, 'ADAPTER_INVALID'));
  }
  if (modules.size === 0) {
    throw new OnnxLoraError('ADAPTER_INVALID', `"${name}" holds no tensors. Save the adapter again.`);
  }
  const ranks = new Map<string, number>();
  const peft = new Map<string, Tensor>();
  for (const [module, factors] of modules) {
    const { A, B } = pair(module, factors);
    const [width, r] = A.dims as [number, number];
    const [rank, out] = B.dims as [number, number];
    requireRank(module, r, rank);
    ranks.set(module, r);
    peft.set(tensorName(module, 'lora_A'), float32(transposed(floats(A), width, r), [r, width]));
    peft.set(tensorName(module, 'lora_B'), float32(transposed(floats(B), r, out), [out, r]));
  }
  return new Adapter(configOf(ranks), peft);
}

/**
 * Writes an adapter as an `.onnx_adapter`, which ONNX Runtime's other languages load for a model that has the adapter's
 * tensors as inputs. Complete or not at all.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for what such a file cannot say: DoRA's magnitude, modules trained in full, biases
 *   of B, adapted embeddings; `FILE_INVALID` when the file cannot be written
 */
export async function saveOnnxAdapter(adapter: Adapter, file: string): Promise<void> {
  await writeFileAtomic(file, formatOrtAdapter(toOrtAdapter(adapter)));
}

function addFactor(modules: Map<string, Factors>, module: string, role: 'lora_A' | 'lora_B', tensor: Tensor): void {
  const factors = modules.get(module) ?? {};
  factors[role === 'lora_A' ? 'A' : 'B'] = tensor;
  modules.set(module, factors);
}

function matrix(tensor: Tensor, name: string, code: 'INPUT_INVALID' | 'ADAPTER_INVALID'): Tensor {
  if (tensor.dims.length === 2) return tensor;
  throw new OnnxLoraError(
    code,
    `The adapter's tensor "${name}" has shape [${tensor.dims.join(', ')}]; only adapters of linear layers, whose factors are matrices, can be converted.`,
  );
}

function pair(module: string, { A, B }: Factors): { A: Tensor; B: Tensor } {
  if (A && B) return { A, B };
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `The adapter holds only half of module "${module}": ${A ? 'lora_B' : 'lora_A'} is missing. Copy or save it again.`,
  );
}

function requireRank(module: string, ofA: number, ofB: number): void {
  if (ofA === ofB && ofA > 0) return;
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `The adapter's lora_A of module "${module}" has rank ${ofA} and its lora_B has rank ${ofB}; they must be equal and at least 1. Save it again.`,
  );
}

function configOf(ranks: ReadonlyMap<string, number>): AdapterConfig {
  const r = [...ranks.values()][0]!;
  const uniform = [...ranks.values()].every((each) => each === r);
  // A key means every module that ends with it, and the first that fits counts: longer paths go first.
  const byPath = [...ranks].sort(([a], [b]) => b.length - a.length);
  const pattern = uniform
    ? {}
    : Object.fromEntries(byPath.map(([path, rank]) => [path.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`), rank]));
  return adapterConfig({ r, alpha: r, targetModules: [...ranks.keys()], rankPattern: pattern, alphaPattern: pattern });
}
