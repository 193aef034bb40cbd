/** @file Merges adapters into the checkpoint that a model was built from, with the same tensor names. */

import * as path from '../../platform/path.ts';
import { openSafetensors, safetensorsChunks, type TensorToStore } from '../../adapter/formats/safetensors.ts';
import { OnnxLoraError } from '../../errors.ts';
import { refuseOverwrite } from '../../files/atomicWriter.ts';
import { isInFile } from '../../graph/bytes.ts';
import { writeOnnxFiles } from '../../graph/file/onnxFile.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import { realFile } from '../opening/modelFiles.ts';
import { mergeInto } from './mergeInto.ts';
import { companionsOf, configWithSizes, requireOtherFolder } from './mergeParts.ts';
import type { MergeOptions, MergeResult, WeightedAdapter } from './mergeTypes.ts';
import type { Model } from '../loaded/model.ts';

const FILE = 'model.safetensors';

/**
 * Writes the merged `model.safetensors` with its companions; transformers loads it like the base.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` without checkpoint, and for a change that it cannot hold; else as `merge`
 */
export async function mergeCheckpoint(
  model: Model,
  adapters: readonly WeightedAdapter[],
  folder: string,
  options: MergeOptions,
  isUnmerge: boolean,
): Promise<MergeResult> {
  const parts = model.parts.length > 0 ? model.parts : [model];
  const checkpoint = new Checkpoint(model, parts);
  const file = path.join(folder, FILE);
  requireOtherFolder(model, folder);
  if (model.folder !== undefined && realFile(folder) === realFile(model.folder)) {
    const message = `"${folder}" is the base model itself, whose weights are still needed. Write to another folder.`;
    throw new OnnxLoraError('FILE_INVALID', message);
  }
  refuseOverwrite([file], options);
  const modules = new Set<string>();
  const rounding: MergeResult['rounding'][number][] = [];
  for (const part of parts) {
    // The joined model has checked the base.
    const own = part === parts[0] ? options : { ...options, allowBaseMismatch: true };
    const result = await mergeInto(part, adapters, own, isUnmerge);
    for (const each of result.modules) modules.add(each);
    const [held] = [...result.untied, ...result.beside];
    if (held !== undefined) throw checkpoint.cannotHold(held);
    checkpoint.take(part, result.model.graph!.initializer ?? []);
    rounding.push(...result.rounding);
  }
  const companions = companionsOf(model, folder, configWithSizes(model, isUnmerge ? [] : adapters));
  const chunks = safetensorsChunks(checkpoint.tensors, { format: 'pt' });
  return { files: writeOnnxFiles([], [[file, chunks], ...companions]), modules: [...modules], rounding, untied: [], beside: [] }; // prettier-ignore
}

/** All tensors of a model's checkpoint files, even those that no graph reads. */
class Checkpoint {
  readonly tensors = new Map<string, TensorToStore>();
  readonly #name: string;
  readonly #names = new Map<string, string>();

  /** @throws OnnxLoraError `MODEL_UNSUPPORTED` if the weights are in .onnx files */
  constructor({ name }: Model, parts: readonly Model[]) {
    this.#name = name;
    const files = parts.flatMap(({ stored }) => (stored.model.graph.initializer ?? []).flatMap((each) => fileOf(each)));
    for (const file of new Set(files.filter((each) => each.endsWith('.safetensors')))) {
      for (const [tensor, { type, dims, bytes }] of openSafetensors(file)) {
        this.tensors.set(tensor, { type, dims, bytes });
        this.#names.set(`${bytes.offset} ${file}`, tensor);
      }
    }
    if (this.tensors.size > 0) return;
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" was not built from a checkpoint, so it cannot be written as one. Merge it into an .onnx file.`,
    );
  }

  take({ stored }: Model, merged: readonly TensorProto[]): void {
    const before = new Map((stored.model.graph.initializer ?? []).map((each) => [each.name, each]));
    for (const tensor of merged) {
      const base = before.get(tensor.name);
      const bytes = rawBytes(tensor);
      // Tensors absent from the base are constants of graphs.
      if (!base || !bytes || rawBytes(base) === bytes) continue;
      const name = this.#nameOf(base);
      const known = name === undefined ? undefined : this.tensors.get(name);
      if (name === undefined || !known) throw this.cannotHold(tensor.name ?? '');
      this.tensors.set(name, { type: known.type, dims: tensor.dims ?? [], bytes });
    }
  }

  cannotHold(what: string): OnnxLoraError {
    return new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The checkpoint of "${this.#name}" has no tensor that could hold the change of "${what}" alone: it is tied to another, or computed. Merge into an .onnx file.`,
    );
  }

  #nameOf(tensor: TensorProto): string | undefined {
    const raw = rawBytes(tensor);
    return raw && isInFile(raw) ? this.#names.get(`${raw.offset} ${raw.path}`) : undefined;
  }
}

function fileOf(tensor: TensorProto): string[] {
  const raw = rawBytes(tensor);
  return raw && isInFile(raw) ? [raw.path] : [];
}
