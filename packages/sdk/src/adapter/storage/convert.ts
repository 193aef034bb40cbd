/** @file Converts between PEFT's adapters and the tensors of an `.onnx_adapter`, a graph's inputs. */

import { OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import { transposed } from '../../runtime/layout.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { Adapter, type SaveOptions } from '../adapter.ts';
import { refuseOverwrite, writeFileAtomic } from '../../files/atomicWriter.ts';
import { floats } from '../../graph/tensorData.ts';
import { formatOrtAdapter } from '../formats/ortAdapter.ts';
import { type AdapterConfig, adapterConfig } from '../formats/peftConfig.ts';
import { baseChangingInit, requireLora, variantOf } from '../formats/peftVariants.ts';
import { patternTable, scalingOf } from '../formats/scaling.ts';
import { parseTensorName, PEFT_PREFIX, tensorName, type TensorName, type TensorRole } from '../formats/tensorNames.ts';

type LowRankRole = Extract<TensorRole, `lora_${string}`>;

function isLowRank(role: TensorRole): role is LowRankRole {
  return role.startsWith('lora_');
}

/** Tensors that contain the scaling, since the graph knows none. */
const scaled: ReadonlySet<LowRankRole> = new Set<LowRankRole>(['lora_B', 'lora_embedding_B', 'lora_B.bias']);

/** Name of a graph input. Some exporters omit `.weight`. */
const INPUT_NAME =
  /^(.+)\.(lora_B\.bias|lora_magnitude_vector|lora_embedding_[AB]|lora_[AB](?=$|\.weight$))(?:\.weight)?$/;

/**
 * The tensors of an `.onnx_adapter`, in the adapter's order. Low-rank tensors are float32 with names and layouts of
 * graph inputs, and the scaling in B and its bias: for linear layers `<path>.lora_A.weight` `[in, r]` and
 * `<path>.lora_B.weight` `[r, out]`, for embeddings `<path>.lora_embedding_A` `[vocabulary, r]` and
 * `<path>.lora_embedding_B` `[r, dim]`; convolutions' factors, B's bias and DoRA's magnitude keep PEFT's layout. Fully
 * trained parameters keep PEFT's names and layout. Copies of the base's weights are omitted.
 * @throws OnnxLoraError `INPUT_INVALID` for contents that the format cannot hold: trained tokens, adapted parameters, adapters
 *   of a modified base, variants of LoRA, scalars; `ADAPTER_INVALID` for half of a pair
 */
export function toOrtAdapter(adapter: Adapter): Map<string, Tensor> {
  requireLora(adapter.config, 'written as an .onnx_adapter');
  refuseWhatOnlyConfigSays(adapter.config);
  lowRanks(adapter.tensors);
  const result = new Map<string, Tensor>();
  for (const [name, tensor] of adapter.tensors) {
    const { module, role, parameter } = parseTensorName(name);
    if (role === 'base_layer.weight') continue;
    if (role === 'trainable_tokens_delta') throw cannotHold(`the tensor "${name}", a set of trained token embeddings`);
    if (isLowRank(role)) {
      const scaling = scaled.has(role) ? scalingOf(adapter.config, module).scaling : 1;
      result.set(tensorName(module, role).slice(PEFT_PREFIX.length), inOtherLayout(tensor, scaling));
    } else {
      if (tensor.dims.length === 0) throw cannotHold(`the tensor "${name}", a single number`);
      result.set(tensorName(module, role, parameter), tensor);
    }
  }
  return result;
}

/**
 * The adapter with these tensors: alpha equals r, since B contains the scaling; targets are full paths; the base is
 * unknown.
 * @param name the file's name for errors
 * @throws OnnxLoraError `ADAPTER_INVALID` for other names than those of {@link toOrtAdapter}
 */
export function fromOrtAdapter(tensors: ReadonlyMap<string, Tensor>, name = 'the .onnx_adapter'): Adapter {
  const peft = new Map<string, Tensor>();
  for (const [key, tensor] of tensors) {
    const { module, role, parameter } = parseOrtName(key, name);
    peft.set(tensorName(module, role, parameter), isLowRank(role) ? inOtherLayout(tensor) : tensor);
  }
  if (peft.size === 0) {
    throw new OnnxLoraError('ADAPTER_INVALID', `"${name}" holds no tensors. Save the adapter again.`);
  }
  const ranks = lowRanks(
    peft,
    'If the module is a bare parameter (a weight of LSTM or GRU, stacked experts), only the model that was exported with this file can read it: load the original PEFT folder. Otherwise, save the adapter again.',
  );
  return new Adapter(configOf(ranks, [...peft.keys()].map(parseTensorName)), peft);
}

const requireKnown = knownOptions<Pick<SaveOptions, 'overwrite'>>('saveOnnxAdapter', { overwrite: true });

/**
 * Writes an `.onnx_adapter` atomically, for models with the adapter's tensors as inputs in ONNX Runtime's other
 * languages.
 * @throws OnnxLoraError `INPUT_INVALID` for contents that the format cannot hold, such as trained tokens; `FILE_INVALID` if the
 *   file is not writable, or exists without `overwrite`
 */
export async function saveOnnxAdapter(
  adapter: Adapter,
  file: string,
  options: Pick<SaveOptions, 'overwrite'> = {},
): Promise<void> {
  requireKnown(options);
  refuseOverwrite([file], options);
  await writeFileAtomic(file, formatOrtAdapter(toOrtAdapter(adapter)));
}

/** Converts a low-rank tensor to the graph's layout or back: transposes matrices, keeps others. */
function inOtherLayout(tensor: Tensor, scaling = 1): Tensor {
  const values = floats(tensor);
  const [rows, columns, ...rest] = tensor.dims;
  if (rows !== undefined && columns !== undefined && rest.length === 0) {
    return float32(transposed(values, rows, columns, scaling), [columns, rows]);
  }
  return float32(scaling === 1 ? values : values.map((value) => scaling * value), tensor.dims);
}

function parseOrtName(key: string, file: string): TensorName {
  if (key.startsWith(PEFT_PREFIX)) {
    const parsed = parseTensorName(key);
    if (parsed.role === 'parameter' || parsed.role === 'base_layer.bias') return parsed;
    // The scaling would be in a config, which this file lacks.
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${file}" holds the tensor "${key}" under PEFT's name, so that its scaling is unknown. Load the PEFT folder that it was made from, and save that with onnx-lora.`,
    );
  }
  const [, module, role] = INPUT_NAME.exec(key) ?? [];
  if (module !== undefined && role !== undefined) return { module, role: role as LowRankRole };
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `"${file}" holds the tensor "${key}", and only tensors of low-rank adapters, named like <module path>.lora_A.weight, and parameters under PEFT's names can be read. Save it again with onnx-lora, or load it with ONNX Runtime for the model that it was made for.`,
  );
}

/** @throws OnnxLoraError `ADAPTER_INVALID` for half of a pair, and invalid or different shapes */
function lowRanks(tensors: ReadonlyMap<string, Tensor>, remedy = 'Save it again.'): Map<string, number> {
  const modules = new Map<string, Partial<Record<LowRankRole, readonly number[]>>>();
  for (const [name, { dims }] of tensors) {
    const { module, role } = parseTensorName(name);
    if (isLowRank(role)) modules.set(module, { ...modules.get(module), [role]: dims });
  }
  return new Map(
    [...modules].map(([module, found]) => {
      const isEmbedding = found.lora_embedding_A !== undefined || found.lora_embedding_B !== undefined;
      const [nameA, nameB] = isEmbedding ? (['lora_embedding_A', 'lora_embedding_B'] as const) : (['lora_A', 'lora_B'] as const); // prettier-ignore
      const [A, B] = [found[nameA], found[nameB]];
      if (!A || !B) {
        throw new OnnxLoraError(
          'ADAPTER_INVALID',
          `The adapter holds only half of module "${module}": ${A ? nameB : nameA} is missing. Copy or save it again.`,
        );
      }
      const [r = 0] = A;
      const [, ofB = 0] = B;
      // B of a grouped convolution has r / groups columns.
      const fits = A.length === B.length && A.length >= 2 && r > 0 && ofB > 0 && (A.length === 2 ? r === ofB : r % ofB === 0); // prettier-ignore
      if (fits) return [module, r];
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `The adapter's ${nameA} of module "${module}" has shape [${A.join(', ')}] and its ${nameB} [${B.join(', ')}] as PEFT lays them out, and their ranks differ. ${remedy}`,
      );
    }),
  );
}

/** @throws OnnxLoraError `INPUT_INVALID` for options that tensors do not reflect */
function refuseWhatOnlyConfigSays(config: AdapterConfig): void {
  const { targetParameters, trainableTokenIndices } = config;
  if (targetParameters?.length) throw cannotHold('adapted parameters (target_parameters)');
  if (trainableTokenIndices && Object.keys(trainableTokenIndices).length > 0) {
    throw cannotHold('trained token embeddings (trainable_token_indices)');
  }
  const init = baseChangingInit(config);
  if (init !== undefined) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The adapter counts from a base that its initialisation "${init}" has changed, and an .onnx_adapter cannot say so. Make it plain LoRA first (toPlainLora, convert --plain-from).`,
    );
  }
  const variant = variantOf(config);
  if (variant !== undefined) throw cannotHold(`a variant of LoRA that the config names (${variant})`);
}

function cannotHold(what: string): OnnxLoraError {
  return new OnnxLoraError(
    'INPUT_INVALID',
    `The adapter has ${what}, which an .onnx_adapter has no place for. Keep the PEFT folder, or merge the adapter into the model.`,
  );
}

function configOf(ranks: ReadonlyMap<string, number>, names: readonly TensorName[]): AdapterConfig {
  const [r = 8] = ranks.values();
  const uniform = [...ranks.values()].every((each) => each === r);
  const pattern = uniform ? {} : patternTable(ranks);
  const parameters = names.filter(({ role }) => role === 'parameter');
  const saved = new Set(parameters.filter(({ parameter }) => parameter !== 'bias').map(({ module }) => module));
  const otherBiases = parameters.some(({ module }) => !saved.has(module));
  const has = (role: TensorRole): boolean => names.some((name) => name.role === role);
  return adapterConfig({
    r,
    loraAlpha: r,
    targetModules: [...ranks.keys()],
    rankPattern: pattern,
    alphaPattern: pattern,
    modulesToSave: saved.size > 0 ? [...saved] : null,
    bias: otherBiases ? 'all' : has('base_layer.bias') ? 'lora_only' : 'none',
    useDora: has('lora_magnitude_vector'),
    loraBias: has('lora_B.bias'),
  });
}
