/** @file Places the tensors of an adapter by another tuner. */

import { OnnxLoraError } from '../../errors.ts';
import { ByTuner } from '../../lora/methods/byTuner.ts';
import type { ChosenTuner } from '../../lora/methods/adaptedLayer.ts';
import { type InLayout, inLayout, type PlacedModuleAdapter } from '../../lora/methods/moduleAdapter.ts';
import type { TensorSpec } from '../../lora/tuner.ts';
import type { Site } from '../../match/sites.ts';
import { Random } from '../../runtime/random.ts';
import { float32, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import type { Adapter } from '../adapter.ts';
import { PEFT_PREFIX } from '../formats/tensorNames.ts';

/**
 * The modules that a tuner adapts: those with more tensors than weight and bias. Creates tensors that files omit.
 * @throws OnnxLoraError `ADAPTER_INVALID` for a missing tensor
 */
export function placeTunerModules(
  { tensors }: Adapter,
  chosen: ChosenTuner,
  siteOf: (module: string) => Site | undefined,
  model: string,
): (PlacedModuleAdapter & { readonly tuning: ByTuner })[] {
  const words = new Map<string, Map<string, string>>();
  for (const name of tensors.keys()) {
    const found = tunedName(name, siteOf);
    if (found) words.set(found.module, (words.get(found.module) ?? new Map<string, string>()).set(found.word, name));
  }
  const modules = [...words].map(([module, own]) => ({
    module,
    site: siteOf(module)!,
    saved: Object.fromEntries([...own].map(([word, name]) => [word, tensors.get(name)!.dims])),
    read: (word: string, of: string = module) => tensors.get(words.get(of)?.get(word) ?? ''),
  }));
  const made = new Map<string, Tensor>();
  return ByTuner.all(modules, chosen).map((tuning) => {
    const own = words.get(tuning.layer.path)!;
    const parts = tuning.tensors().map((each) => {
      const spec = tuning.math.tensors[each.role]!;
      const { dims, inFile } = spec;
      const check = (name: string, role: string, own: TensorSpecInFile): Tensor => {
        const what = `${role} of "${tuning.path}"`;
        requireShape(what, tensors.get(name)!.dims, own.dims, model);
        const found = widened(tensors.get(name)!, own);
        requirePlaces(what, found, own);
        return found;
      };
      const missing = (role: string): OnnxLoraError => missingTensor(chosen, tuning, role);
      if (inFile) {
        const found = Object.entries(inFile.tensors).map(([role, part]) => {
          const name = own.get(role);
          if (name === undefined) throw missing(role);
          return { role, name, tensor: check(name, role, part) };
        });
        const read = (): InLayout => ({ value: inFile.read(Object.fromEntries(found.map(({ role, tensor }) => [role, tensor]))), dims }); // prettier-ignore
        return { ...each, dims, make: read, names: found.map(({ name }) => name) };
      }
      // Some tuners' PEFT files repeat shared tensors for each layer.
      const names = [...(each.shared ? [each.savedAs] : []), own.get(each.role)].flatMap((name) =>
        name !== undefined && tensors.has(name) ? [name] : [],
      );
      const [saved] = names.map((name) => check(name, each.role, spec));
      if (!saved && !each.unsaved) throw missing(each.role);
      const make = (): InLayout => each.first(new Random(0), (other) => inLayout(made.get(other)!));
      return { ...each, dims, make, names, ...(saved && { saved }) };
    });
    // Only after the file's shapes agree with the config is anything of the config's size allocated.
    const found = parts.map(({ role, name, dims, saved, make, names: inFile }) => {
      const tensor = saved ?? made.get(name) ?? remade(tuning.path, role, dims, make);
      made.set(name, tensor);
      return { role, tensor, names: inFile };
    });
    return {
      tuning,
      saved: new Map(found.map(({ role, tensor }) => [role, tensor])),
      names: found.flatMap(({ names }) => names),
    };
  });
}

type TensorSpecInFile = Pick<TensorSpec, 'dims' | 'integers'>;

function missingTensor(
  { tuner: { notInPeft = [], peftType } }: ChosenTuner,
  { path, layer }: ByTuner,
  role: string,
): OnnxLoraError {
  return new OnnxLoraError(
    'ADAPTER_INVALID',
    notInPeft.includes(role)
      ? `The adapter has no ${role} for "${path}", which PEFT leaves out of files of ${peftType} and which only the machine that trained it can make. Add it to the file there: layer.${role}[adapter] as "${PEFT_PREFIX}${layer.path}.${role}", and so ${notInPeft.join(', ')} of all layers.`
      : `The adapter holds only part of module "${path}": ${role} is missing. Copy or save it again.`,
  );
}

/**
 * The module of a tuner's tensor, and the rest of its name; undefined for plain parameters (`weight`,
 * `modules_to_save`).
 */
function tunedName(
  name: string,
  siteOf: (module: string) => Site | undefined,
): { readonly module: string; readonly word: string } | undefined {
  const path = name.startsWith(PEFT_PREFIX) ? name.slice(PEFT_PREFIX.length) : name;
  for (let at = path.lastIndexOf('.'); at > 0; at = path.lastIndexOf('.', at - 1)) {
    const [module, word] = [path.slice(0, at), path.slice(at + 1)];
    if (siteOf(module)) return /^(weight|bias|base_layer|modules_to_save)\b/.test(word) ? undefined : { module, word };
  }
  return undefined;
}

/** @throws OnnxLoraError `ADAPTER_INVALID` for a file that does not tell its layers */
export function requireLayers({ tensors, config }: Adapter): void {
  const names = [...tensors.keys()];
  if (names.some((name) => name.startsWith(PEFT_PREFIX) || !name.startsWith(SHARED_PREFIX))) return;
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `The adapter's file has only what all its layers share (${names[0]}), and PEFT draws the rest of ${config.peftType} again in the order in which the model's class has its layers, which a graph does not tell. Save it again in PEFT with all that it has (save_indices=True, save_projection=True).`,
  );
}

const SHARED_PREFIX = 'base_model.';

/** Widens indices that PEFT saved in fewer bits to the tuner's type. */
function widened({ type, dims, data }: Tensor, { integers }: TensorSpecInFile): Tensor {
  if (integers?.type !== 'int32' || !/^u?int(8|16)$/.test(type)) return { type, dims, data };
  return { type: 'int32', dims, data: Int32Array.from(data as Int16Array) };
}

/** @throws OnnxLoraError `ADAPTER_INVALID` for indices out of range */
function requirePlaces(what: string, { type, data, dims }: Tensor, { integers }: TensorSpecInFile): void {
  const isFloat = type.startsWith('float') || type === 'bfloat16';
  if (!integers && isFloat) return;
  const each = data.length / (dims[0] ?? 1);
  const below = (i: number): number => typeof integers!.below === 'number' ? integers!.below : integers!.below[Math.floor(i / each)]!; // prettier-ignore
  const wrong = integers?.type === type ? Array.from(data as Int32Array, Number).find((at, i) => at < 0 || at >= below(i)) : type; // prettier-ignore
  if (wrong === undefined) return;
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `${what} must hold ${
      integers
        ? `numbers of type ${integers.type} from 0 to ${[integers.below]
            .flat()
            .map((end) => end - 1)
            .join(' and ')}`
        : 'floating-point numbers'
    }, and has ${wrong}. Copy or save the adapter again.`,
  );
}

const MADE_BYTES = 2 ** 31;

/** Creates a tensor. @throws OnnxLoraError `ADAPTER_INVALID` for one larger than any adapter's */
function remade(path: string, role: string, dims: readonly number[], first: () => InLayout): Tensor {
  if (4 * sizeOf(dims) <= MADE_BYTES) {
    const { integers, value } = first();
    return integers ?? float32(value, dims);
  }
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `The adapter's config asks for ${role} of "${path}" in the shape [${dims.join(', ')}], which is more than ${MADE_BYTES / 2 ** 30} GiB. Check the rank in its adapter_config.json.`,
  );
}

/** @throws OnnxLoraError `ADAPTER_MISMATCH` if the shape of the tensor `what` differs from the expected one */
export function requireShape(what: string, found: readonly number[], expected: readonly number[], model: string): void {
  if (found.length === expected.length && found.every((dim, i) => dim === expected[i])) return;
  const isTurned = found.length === 2 && found[0] === expected[1];
  const remedy = isTurned ? 'It may be transposed: PEFT has matrices as [outputs, inputs]. Save it so, or use' : 'Use';
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `${what} has shape [${found.join(', ')}], but "${model}" needs [${expected.join(', ')}]. ${remedy} the base model that the adapter was trained on.`,
  );
}
