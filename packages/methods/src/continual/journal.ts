/** @file What is finished of tasks that are learned one after the other, in a folder that a kill at any moment leaves whole. */

import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Adapter, loadAdapter, OnnxLoraError, type TrainOptions } from '@onnx-lora/sdk';
import { makeFolder, writeFileAtomic } from '@onnx-lora/sdk/data';

/** Where and how often is saved what is needed to go on. */
type KeptIn = NonNullable<TrainOptions['checkpoints']>;

/** What is measured before the first task. */
export interface MeasuredBase {
  /** What scores are. */
  readonly metric: string;
  /** Of all tasks. */
  readonly base: readonly number[];
}

/** A task that has been learned. */
interface Finished {
  readonly task: string;
  /** Of all tasks, after it. */
  readonly scores: readonly number[];
}

/** The whole file. */
interface Content {
  readonly version: 1;
  /** What the numbers depend on, by its name, as JSON. */
  readonly about: Readonly<Record<string, string>>;
  readonly base?: MeasuredBase;
  readonly tasks: readonly Finished[];
}

/** What a call puts into the folder, and `overwrite` therefore removes. */
const own = { journal: 'continual.json', adapters: 'adapters', checkpoints: 'checkpoints' } as const;

/** `continual.json`, the adapter after each task, and checkpoints of the one under way. */
export class Journal {
  readonly #kept: KeptIn;
  #content: Content;

  private constructor(kept: KeptIn, content: Content) {
    this.#kept = kept;
    this.#content = content;
  }

  /**
   * The journal of a folder; an empty one where there is none.
   *
   * @param about what the numbers depend on
   * @throws OnnxLoraError `CONFIG_INVALID` for that of other tasks or settings, `FILE_INVALID` for one that cannot be read
   */
  static async open(kept: KeptIn, about: Readonly<Record<string, unknown>>): Promise<Journal> {
    const file = path.join(kept.folder, own.journal);
    if (kept.overwrite) for (const name of Object.values(own)) await rm(path.join(kept.folder, name), { recursive: true, force: true }); // prettier-ignore
    const is = Object.fromEntries(Object.entries(about).map(([name, value]) => [name, JSON.stringify(value ?? null)]));
    if (!existsSync(file)) return new Journal(kept, { version: 1, about: is, tasks: [] });
    const content = await read(file);
    const other = [...new Set([...Object.keys(is), ...Object.keys(content.about)])].find((name) => content.about[name] !== is[name]); // prettier-ignore
    if (other !== undefined)
      throw new OnnxLoraError('CONFIG_INVALID', `"${kept.folder}" holds tasks that were learned with other settings: ${other} was ${shown(content.about[other])} and is ${shown(is[other])}. Go on with the same, name another folder, or begin anew by overwrite.`); // prettier-ignore
    return new Journal(kept, content);
  }

  /** What was measured before the first task; undefined before that. */
  get base(): MeasuredBase | undefined {
    return this.#content.base;
  }

  /** Tasks that were learned, in their order. */
  get finished(): readonly Finished[] {
    return this.#content.tasks;
  }

  /** Keeps what is measured before the first task. */
  async begin(base: MeasuredBase): Promise<void> {
    await this.#write({ ...this.#content, base });
  }

  /** The adapter after a task that was learned. */
  adapterOf(task: number): Promise<Adapter> {
    return loadAdapter(this.#adapter(task));
  }

  /** Where the training of a task saves its checkpoints, and goes on from where there are some. */
  trainingOf(task: number): Pick<TrainOptions, 'checkpoints' | 'resume'> {
    const { overwrite: _, ...kept } = this.#kept;
    return { checkpoints: { ...kept, folder: this.#checkpoints(task) }, resume: true };
  }

  /**
   * Keeps a task that was learned, and removes its checkpoints.
   *
   * @returns the adapter as it is read again, so that whoever goes on has the very same
   */
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
    // JSON has no word for a number that is none, and says null.
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
    throw new OnnxLoraError('FILE_INVALID', `"${file}" says nothing of tasks that were learned, or is damaged. Name another folder, or begin anew by overwrite.`, { cause }); // prettier-ignore
  }
}

/** Long values, such as lists of modules, are cut. */
function shown(json = 'not set'): string {
  return json.length > 80 ? `${json.slice(0, 77)}…` : json;
}
