/** @file The journal of `continual`: finished tasks in a folder, consistent after a crash at any moment. */

import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Adapter, loadAdapter, OnnxLoraError, type TrainOptions } from '@onnx-lora/sdk';
import { makeFolder, writeFileAtomic } from '@onnx-lora/sdk/data';

type KeptIn = NonNullable<TrainOptions['checkpoints']>;

export interface MeasuredBase {
  readonly metric: string;
  readonly base: readonly number[];
}

interface Finished {
  readonly task: string;
  readonly scores: readonly number[];
}

/** The content of `continual.json`. */
interface Content {
  readonly version: 1;
  /** Settings that the scores depend on, as JSON by name. */
  readonly about: Readonly<Record<string, string>>;
  readonly base?: MeasuredBase;
  readonly tasks: readonly Finished[];
}

/** Names in the folder; `overwrite` removes them. */
const own = { journal: 'continual.json', adapters: 'adapters', checkpoints: 'checkpoints' } as const;

/** `continual.json`, the adapter after each task, and the running task's checkpoints. */
export class Journal {
  readonly #kept: KeptIn;
  #content: Content;

  private constructor(kept: KeptIn, content: Content) {
    this.#kept = kept;
    this.#content = content;
  }

  /**
   * Opens a folder's journal; an empty one where there is no file. `about` are settings that the scores depend on.
   * @throws OnnxLoraError `CONFIG_INVALID` for a journal of other tasks or settings, `FILE_INVALID` for a damaged one
   */
  static async open(kept: KeptIn, about: Readonly<Record<string, unknown>>): Promise<Journal> {
    const file = path.join(kept.folder, own.journal);
    if (kept.overwrite) for (const name of Object.values(own)) await rm(path.join(kept.folder, name), { recursive: true, force: true }); // prettier-ignore
    const is = Object.fromEntries(Object.entries(about).map(([name, value]) => [name, JSON.stringify(value ?? null)]));
    if (!existsSync(file)) return new Journal(kept, { version: 1, about: is, tasks: [] });
    const content = await read(file);
    const other = [...new Set([...Object.keys(is), ...Object.keys(content.about)])].find((name) => content.about[name] !== is[name]); // prettier-ignore
    if (other !== undefined)
      throw new OnnxLoraError('CONFIG_INVALID', `"${kept.folder}" holds tasks that were learned with other settings: ${other} was ${shown(content.about[other])} and is ${shown(is[other])}. Continue with the same, name another folder, or start over by overwrite.`); // prettier-ignore
    return new Journal(kept, content);
  }

  get base(): MeasuredBase | undefined {
    return this.#content.base;
  }

  get finished(): readonly Finished[] {
    return this.#content.tasks;
  }

  async begin(base: MeasuredBase): Promise<void> {
    await this.#write({ ...this.#content, base });
  }

  adapterOf(task: number): Promise<Adapter> {
    return loadAdapter(this.#adapter(task));
  }

  trainingOf(task: number): Pick<TrainOptions, 'checkpoints' | 'resume'> {
    const { overwrite: _, ...kept } = this.#kept;
    return { checkpoints: { ...kept, folder: this.#checkpoints(task) }, resume: true };
  }

  /** Saves a finished task and removes its checkpoints. Returns the adapter as read back, as a resumed call has it. */
  async finish(adapter: Adapter, finished: Finished): Promise<Adapter> {
    const task = this.finished.length;
    await adapter.save(this.#adapter(task), { overwrite: true });
    await this.#write({ ...this.#content, tasks: [...this.finished, finished] });
    await rm(this.#checkpoints(task), { recursive: true, force: true });
    return this.adapterOf(task);
  }

  async #write(content: Content): Promise<void> {
    makeFolder(this.#kept.folder);
    await writeFileAtomic(path.join(this.#kept.folder, own.journal), `${JSON.stringify(content, null, 1)}\n`);
    this.#content = content;
  }

  #adapter(task: number): string {
    return path.join(this.#kept.folder, own.adapters, String(task + 1));
  }

  #checkpoints(task: number): string {
    return path.join(this.#kept.folder, own.checkpoints, String(task + 1));
  }
}

async function read(file: string): Promise<Content> {
  try {
    const { version, about, base, tasks } = JSON.parse(await readFile(file, 'utf8')) as Content;
    // JSON writes NaN as null.
    const numbers = (row: readonly (number | null)[]): number[] => row.map((each) => Number(each ?? NaN));
    if (version !== 1) throw new Error(`of version ${String(version)}`);
    const finished = tasks.map(({ task, scores }) => ({ task, scores: numbers(scores) }));
    return {
      version,
      about: { ...about },
      ...(base ? { base: { metric: base.metric, base: numbers(base.base) } } : {}),
      tasks: finished,
    };
  } catch (cause) {
    throw new OnnxLoraError('FILE_INVALID', `"${file}" says nothing of tasks that were learned, or is damaged. Name another folder, or start over by overwrite.`, { cause }); // prettier-ignore
  }
}

function shown(json = 'not set'): string {
  return json.length > 80 ? `${json.slice(0, 77)}…` : json;
}
