/** @file Trackers of a run. A failing one is dropped, and training continues. */

import type { PluginRegistry, TrainEvent } from '@onnx-lora/sdk';
import { didYouMean, guard, type TrackedRun, type Tracker } from '@onnx-lora/sdk/plugin';
import type { Settings } from '../settings/setting.ts';
import { usageError } from '../terminal/errors.ts';

export const TENSORBOARD = 'tensorboard';

/** Whether TensorBoard is requested. */
export function wantsTensorBoard({ tensorboard, track }: Pick<Settings, 'tensorboard' | 'track'>): boolean {
  return tensorboard === true || (track?.includes(TENSORBOARD) ?? false);
}

/** Refuses unknown trackers before any work. @throws OnnxLoraError `CONFIG_INVALID` */
export function requireTrackers(
  names: readonly string[] | undefined = [],
  { trackers }: Pick<PluginRegistry, 'trackers'>,
): void {
  const known = [TENSORBOARD, ...trackers.map(({ name }) => name)];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw usageError(
    `There is no tracker "${unknown}".${didYouMean(unknown, known)} Trackers are ${known.join(', ')}; plugins bring more (--plugin).`,
  );
}

export class Trackers {
  readonly #active = new Map<string, Tracker>();
  readonly #warn: (message: string) => void;

  private constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** Creates the requested trackers. @throws OnnxLoraError as the trackers do */
  static async begin(
    names: readonly string[] | undefined = [],
    { trackers }: Pick<PluginRegistry, 'trackers'>,
    run: TrackedRun,
    warn: (message: string) => void,
  ): Promise<Trackers> {
    const made = new Trackers(warn);
    try {
      for (const factory of trackers.filter(({ name }) => names.includes(name)))
        made.#active.set(
          factory.name,
          await guard({ part: `tracker "${factory.name}"`, where: 'create' }, () => factory.create(run)),
        );
    } catch (error) {
      await made.close();
      throw error;
    }
    return made;
  }

  /** Passes an event to all, without awaiting their requests. */
  add(event: TrainEvent): void {
    for (const [name, tracker] of this.#active) void this.#guard(name, () => tracker.add(event));
  }

  /** Waits until all have written. */
  async close(): Promise<void> {
    for (const [name, tracker] of this.#active) await this.#guard(name, () => tracker.close());
    this.#active.clear();
  }

  async #guard(name: string, work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#active.delete(name)) return;
      const message = error instanceof Error ? error.message : String(error);
      this.#warn(`the tracker "${name}" failed and gets no more events:  ${message}`);
    }
  }
}
