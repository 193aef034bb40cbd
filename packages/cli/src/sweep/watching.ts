/** @file Progress of a sweep: a live table on a terminal, a few lines in a pipe. */

import type { Progress } from '../terminal/progress.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { clock, decimals, formatTable, short, withInterval } from '../terminal/table.ts';
import type { SweepPlan } from './configurations.ts';
import { type Choosing, workOf } from './halving.ts';
import type { Journal } from './journal.ts';
import { outcomeOf } from './outcome.ts';
import type { RunningTrials } from './runTrials.ts';

export interface Watched extends Choosing {
  readonly plan: SweepPlan;
  readonly journal: Journal;
  readonly parallel: number;
  readonly underway: ReadonlyMap<string, RunningTrials>;
}

interface Told {
  readonly done: number;
  readonly all: number;
  readonly line: string;
}

/** Milliseconds between redraws. */
const REDRAW = 250;
const SHOWN = 8;
const MEGABYTE = 2 ** 20;

/** Shows a sweep's progress. */
export class Watcher {
  readonly #watched: Watched;
  readonly #terminal: Terminal;
  readonly #progress: Progress;
  readonly #isLive: boolean;
  #drawn = -Infinity;
  #told = 0;

  constructor(
    watched: Watched,
    { terminal, progress, quiet }: { terminal: Terminal; progress: Progress; quiet: boolean },
  ) {
    this.#watched = watched;
    this.#terminal = terminal;
    this.#progress = progress;
    this.#isLive = !quiet && terminal.stderr.isTTY === true;
  }

  show(): void {
    const { done, all, line } = lineOf(this.#watched);
    if (!this.#isLive) {
      if (done > this.#told) this.#progress.show(done, all, line);
      this.#told = done;
      return;
    }
    const now = performance.now();
    if (now - this.#drawn < REDRAW) return;
    this.#drawn = now;
    this.#terminal.redrawLines([line, ...tableOf(this.#watched, this.#terminal.stderr.columns ?? 80)]);
  }
}

function lineOf({ plan, journal, underway, parallel, rungs, factor }: Watched): Told {
  const trials = plan.configurations.flatMap(({ trials: own }) => own);
  const records = trials.flatMap(({ id }) => journal.get(id) ?? []);
  const failed = records.filter(({ status }) => status === 'failed').length;
  const done = records.filter(({ status }) => status === 'done').length;
  const tried = records.filter(({ measured, status }) => measured.length > 0 || status === 'failed').length;
  // Estimated from finished trials, which differ little from each other.
  const all = workOf(plan, rungs, factor);
  const made = records.reduce((sum, { measured }) => sum + (measured.at(-1)?.part ?? 0), 0);
  const wall = records.reduce((sum, record) => sum + (record.measured.length > 0 ? record.wall : 0), 0);
  const now = performance.now();
  // On a cluster, some wait for a place.
  const alive = [...underway.values()].filter(({ memory }) => memory > 0);
  const spent = alive.reduce((sum, { since }) => sum + (now - since) / 1000, 0);
  const seconds = ((all - made - failed * rungs[0]!) * wall) / made - spent;
  const left =
    made === 0 ? '' : `, about ${clock(Math.max(0, seconds / Math.min(parallel, Math.max(1, alive.length))))} left`;
  const whole = rungs.length > 1 ? `, ${done} whole` : '';
  const wrong = failed > 0 ? `, ${failed} failed` : '';
  const line = `${tried} of ${trials.length} trials${whole}${wrong}  ${clock(journal.seconds)}${left}`;
  return { done: Math.min(all, made + failed), all, line };
}

function tableOf({ plan, metric, journal, underway }: Watched, width: number): string[] {
  const now = performance.now();
  const running = [...underway.values()].map(({ task: { configuration, trial }, step, steps, loss, memory, since }) => [
    `${configuration.name}  seed ${trial.seed}${trial.fold === undefined ? '' : ` fold ${trial.fold}`}`,
    steps === undefined ? 'opening' : `step ${step}/${steps}`,
    loss === undefined ? '' : `loss ${decimals(loss)}`,
    memory === 0 ? '' : `${Math.round(memory / MEGABYTE)} MB`,
    clock((now - since) / 1000),
  ]);
  const { configurations } = outcomeOf(plan, metric, journal);
  const best = configurations
    .filter(({ score }) => score !== undefined)
    .sort((a, b) => (metric.isLower ? a.score! - b.score! : b.score! - a.score!))
    .slice(0, SHOWN)
    .map(({ configuration, score, interval, scores }) => [
      configuration.name,
      `${metric.name} ${withInterval(short(score!), interval)}`,
      `${scores.size} of ${configuration.trials.length}`,
    ]);
  return [...formatTable(running), ...(best.length > 0 ? ['', ...formatTable(best)] : [])].map((row) => row.slice(0, width - 1)); // prettier-ignore
}
