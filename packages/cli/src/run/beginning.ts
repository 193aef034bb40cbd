/** @file What a run begins with: an adapter, or how one is made, and the data that it is trained and measured on. */

import path from 'node:path';
import { attachHead, loadAdapter, type LoraOptions, type LoraPreview, type Model, previewLora } from '@onnx-lora/sdk';
import type { PreparedTask, Task } from '@onnx-lora/sdk/tasks';
import { usageError } from '../terminal/errors.ts';
import { adapterSettings } from '../settings/adapter.ts';
import { flagOf } from '../settings/settings.ts';
import type { SettingName, Settings } from '../settings/setting.ts';
import { type ChosenAdapter, requireOther } from '../sources.ts';
import { grouped } from '../terminal/table.ts';

/** Settings that say how a new adapter is made. */
const ofNewAdapters: readonly SettingName[] = [...adapterSettings, 'init', 'original', 'initBatches'];

/**
 * The adapter that the run begins with.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where settings describe a new one too, or the run would replace the adapter
 */
export async function adapterToBegin(given: Settings): Promise<ChosenAdapter | undefined> {
  const { from: source } = given;
  if (source === undefined) return undefined;
  const other = ofNewAdapters.find((name) => given[name] !== undefined);
  if (other !== undefined)
    throw usageError(
      `--from begins with an adapter that says what is adapted and how, and ${flagOf(other)} says how a new one is made. Leave one of them out.`,
    );
  if (given.out !== undefined) requireOther(path.join(given.out, 'adapter'), [source]);
  return { adapter: await loadAdapter(source), source };
}

/** What is trained, and the modules among it that begin anew. */
interface Previewed {
  readonly preview: Pick<LoraPreview, 'targets' | 'parameters' | 'tokens' | 'trainableParameters'>;
  readonly newModules: readonly string[];
}

/** What is trained of an adapter that is there already. */
export async function previewOf({ adapter }: ChosenAdapter, model: Model, { head }: PreparedTask): Promise<Previewed> {
  const { tunings } = await model.place(adapter);
  const targets = tunings.flatMap(({ tuning }) => (tuning.parameter ? [] : [tuning.path]));
  const preview = { targets, parameters: [], tokens: [], trainableParameters: adapter.parameterCount };
  return { preview, newModules: head ? attachHead<Model>(model, head).modules : [] };
}

/** What is trained, with the head that the labels need where the model has none for them. */
export function previewWithHead(model: Model, { head }: PreparedTask, lora: LoraOptions): Previewed {
  if (!head) return { preview: previewLora(model, lora), newModules: [] };
  const { model: headed, modules } = attachHead<Model>(model, head);
  const saved = new Set([...(lora.modulesToSave ?? []), ...modules]);
  return { preview: previewLora(headed, { ...lora, modulesToSave: [...saved] }), newModules: modules };
}

/** Reads the data once for training and both evaluations, so that files are decoded once. */
export async function prepareOnce(task: Task, model: Model): Promise<{ task: Task; prepared: PreparedTask }> {
  const prepared = await task.prepare(model);
  return { task: { name: task.name, prepare: () => Promise.resolve(prepared) }, prepared };
}

/** How much is trained, as PEFT tells it. */
export function parameterLine(trainable: number, base: number, modules: number): string {
  const all = base + trainable;
  return `trainable params: ${grouped(trainable)} || all params: ${grouped(all)} || trainable%: ${((100 * trainable) / all).toFixed(4)} (${modules} modules)`;
}
