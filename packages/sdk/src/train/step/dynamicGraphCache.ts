/** @file Finds the one graph for batches of all sizes after a few batches. */

import { isDeepStrictEqual } from '../../platform/system.ts';
import { runInSlices } from '../../graph/eventLoop.ts';
import { arrayOf, type Feeds, sizeOf } from '../../runtime/tensor.ts';
import { dynamicGraph, type DynamicGraph } from '../graph/dynamicGraph.ts';
import {
  type BatchShapes,
  type InputAxis,
  DynamicSizes,
  type Probes,
  probesOf,
  type SizeAxes,
} from '../graph/dynamicSizes.ts';
import type { TrainingGraph } from '../graph/trainingGraph.ts';
import { pieceRows, rowsOf } from './microBatch.ts';
import { prepareStep, takesAnyBatch } from './prepareStep.ts';
import type { GradientStepRequest, MemoryPlan } from './stepRequest.ts';

/** Number of remembered shapes. */
const MOST_SEEN = 16;
/** Maximum number of attempts. */
const TRIES = 3;
/** Maximum number of differing sizes: graphs are built for all combinations of two of each. */
const MOST_SIZES = 3;

/** The graph for a batch of any size. */
export interface Opened {
  readonly graph: TrainingGraph;
  /** Rows per run; undefined if a batch is computed at once. */
  readonly rows: number | undefined;
  readonly memoryPlan: MemoryPlan;
}

/** A graph, and the batches it covers. */
interface Found {
  readonly sizes: DynamicSizes;
  readonly open: DynamicGraph;
  /** Whether the first size is the batch size, which can be split. */
  readonly byRows: boolean;
  readonly least: readonly number[];
  readonly most: readonly number[];
}

/** Finds the graph, and decides which batches it covers. */
export class DynamicGraphCache {
  readonly #request: GradientStepRequest;
  /** Distinct shapes of batches without a graph. */
  readonly #seen: BatchShapes[] = [];
  readonly #tried = new Set<string>();
  /** Rows per run of batches not proven as a whole, by their sizes. */
  readonly #rows = new Map<string, number>();
  #found: Found | undefined;

  constructor(request: GradientStepRequest) {
    this.#request = request;
  }

  /** The graph for a batch; undefined if it does not cover it. */
  async for(inputs: Feeds, targets: Feeds): Promise<Opened | undefined> {
    if (!this.#found) return undefined;
    const { sizes, open, byRows, least, most } = this.#found;
    const own = sizes.sizesOf(shapesOf(inputs, targets));
    if (!own || own.some((size, i) => size < least[i]! || size > most[i]!)) return undefined;
    const total = this.#rowsOf(inputs, targets);
    if ((total !== undefined) !== byRows) return undefined;
    const { lossWeight, pieceRows: choose = pieceRows, session, precision } = this.#request;
    const whole = open.at(own);
    let rows: number | undefined;
    if (lossWeight && total !== undefined) {
      rows = whole.isProven
        ? choose(total, whole.forwardBytes, whole.products, { threads: session?.threads, precision })
        : await this.#pieceRows(own, inputs, targets, total);
    }
    const isWhole = rows === undefined || rows >= total!;
    const ofPiece = isWhole ? own : [rows!, ...own.slice(1)];
    // A graph for one of something is a simpler one, which rounds otherwise.
    if (ofPiece.includes(1)) return undefined;
    const piece = isWhole ? whole : open.at(ofPiece);
    if (!piece.isProven) return undefined;
    const plan = { rows: (isWhole ? total : rows) ?? 1, forwardBytes: piece.forwardBytes };
    return {
      graph: { ...open.graph, ...piece },
      rows: isWhole ? undefined : rows,
      memoryPlan: { batchRows: total ?? 1, ...plan, weightBytes: open.graph.weightBytes },
    };
  }

  /** Rows of a batch of variable size; undefined for a single row, whose graph is specialised. */
  #rowsOf(inputs: Feeds, targets: Feeds): number | undefined {
    const rows = takesAnyBatch(this.#request.base, inputs) ? rowsOf(inputs, targets) : undefined;
    return rows === 1 ? undefined : rows;
  }

  /**
   * Looks for a graph, or a wider one, for a batch without one. Returns whether it now covers this batch.
   * @param targetNames graph inputs of the targets; before there is a graph, a batch is only noted
   */
  async find(inputs: Feeds, targets: Feeds, targetNames?: Readonly<Record<string, string>>): Promise<boolean> {
    const shapes = shapesOf(inputs, targets);
    const isNew = !this.#seen.some((each) => isDeepStrictEqual(each, shapes));
    if (isNew && this.#seen.length < MOST_SEEN) this.#seen.push(shapes);
    if (this.#seen.length < 2 || !targetNames || typeof this.#request.memory === 'number') return false;
    const byRows = this.#rowsOf(inputs, targets) !== undefined;
    const sizes = DynamicSizes.of(this.#seen, byRows);
    // Known cases and endless attempts are skipped.
    const tried = JSON.stringify([byRows, sizes?.axes, this.#most(sizes)]);
    if (!sizes || sizes.axes.length > MOST_SIZES || this.#tried.size === TRIES || this.#tried.has(tried)) return false;
    this.#tried.add(tried);
    const portOf = (name: string): string => name.startsWith(TARGET) ? targetNames[name.slice(TARGET.length)]! : name; // prettier-ignore
    const axes = sizes.axes.map((all) => all.map(([name, axis]): InputAxis => [portOf(name), axis]) as [InputAxis, ...InputAxis[]]); // prettier-ignore
    const before = this.#found;
    const graphs = new Map<string, TrainingGraph | undefined>();
    const graphAt = async (own: readonly number[]): Promise<TrainingGraph | undefined> => {
      const key = own.join();
      if (!graphs.has(key)) graphs.set(key, await this.#graphAt(...batchAt(sizes, own, inputs, targets)));
      return graphs.get(key);
    };
    const most = this.#most(sizes);
    // Sizes larger than seen are covered only if the model takes them and computes them alike.
    for (const factor of [2, 1]) {
      // If a batch with all sizes at their maximum is computed otherwise, the real ones may still be alike.
      for (const isTop of [false, true]) {
        const top = isTop ? await this.#topOf(sizes, byRows, inputs, targets) : undefined;
        const grown = (all: readonly number[]): number[] => all.map((size) => factor * size);
        const probes = probesOf(grown(most), byRows, top && grown(top));
        const found = await this.#openGraph({ sizes, byRows }, probes, axes, graphAt);
        for (const own of probes.checks) graphs.delete(own.join());
        if (!found) continue;
        this.#found = found;
        if (await this.for(inputs, targets)) return true;
      }
    }
    this.#found = before;
    return false;
  }

  /** Sizes of a run of the largest batch. */
  async #topOf(sizes: DynamicSizes, byRows: boolean, inputs: Feeds, targets: Feeds): Promise<readonly number[]> {
    const numbers = (own: readonly number[]): number => own.reduce((product, size) => product * size, 1);
    const all = this.#seen.map((shapes) => sizes.sizesOf(shapes)).filter((own) => own !== undefined);
    const top = all.reduce((most, own) => (numbers(own) > numbers(most) ? own : most));
    if (!byRows || !this.#request.lossWeight) return top;
    return top.with(0, await this.#pieceRows(top, ...batchAt(sizes, top, inputs, targets), top[0]!));
  }

  /** Rows per run of a batch, as its own graph has them. */
  async #pieceRows(own: readonly number[], inputs: Feeds, targets: Feeds, total: number): Promise<number> {
    const key = own.join();
    const rows = this.#rows.get(key) ?? (await prepareStep(this.#request, inputs, targets)).rows ?? total;
    this.#rows.set(key, rows);
    return rows;
  }

  /** The largest size seen of each kind. */
  #most(sizes?: DynamicSizes): number[] {
    return (sizes?.axes ?? []).map(([[port, axis]]) =>
      Math.max(...this.#seen.map((shapes) => shapes.get(port)![axis]!)),
    );
  }

  /** Covers sizes from the small check, or else from the corners if the small one is computed otherwise. */
  async #openGraph(
    { sizes, byRows }: Pick<Found, 'sizes' | 'byRows'>,
    { corners, checks }: Probes,
    axes: readonly SizeAxes[],
    graphAt: (own: readonly number[]) => Promise<TrainingGraph | undefined>,
  ): Promise<Found | undefined> {
    const nodesAt = async (own: readonly number[]): Promise<number> =>
      (await graphAt(own))?.model.graph?.node?.length ?? 0;
    // Large graphs first: if one differs, no others need be built.
    const nodes = await nodesAt(corners[0]!);
    for (const own of checks.slice(0, -1)) if ((await nodesAt(own)) !== nodes) return undefined;
    const graphs: TrainingGraph[] = [];
    for (const own of [...corners, ...checks]) {
      const graph = await graphAt(own);
      if (graph) graphs.push(graph);
      else if (own !== checks.at(-1)) return undefined;
    }
    const most = checks[0]!.map((_, i) => Math.max(...checks.map((own) => own[i]!)));
    for (const count of [checks.length, checks.length - 1]) {
      const probes = { corners, checks: checks.slice(0, count) };
      const all = graphs.slice(0, corners.length + count);
      const open = all.length === corners.length + count ? dynamicGraph(all, probes, axes) : undefined;
      const from = count === checks.length ? checks.at(-1)! : corners[0]!;
      const least = from.map((size, i) => (byRows && i === 0 ? 1 : size));
      if (open) return { sizes, byRows, open, least, most };
    }
    return undefined;
  }

  /** The graph for a whole batch; undefined if the model does not take this size. */
  async #graphAt(inputs: Feeds, targets: Feeds): Promise<TrainingGraph | undefined> {
    try {
      const { prepared } = await prepareStep({ ...this.#request, pieceRows: (rows) => rows }, inputs, targets);
      return await runInSlices(prepared.build());
    } catch {
      return undefined;
    }
  }
}

/** Prefix of target names, which inputs may share. */
const TARGET = 'target:';

function shapesOf(inputs: Feeds, targets: Feeds): BatchShapes {
  const named = Object.entries(targets).map(([name, tensor]) => [TARGET + name, tensor] as const);
  return new Map([...Object.entries(inputs), ...named].map(([name, { dims }]) => [name, dims]));
}

function batchAt(
  sizes: DynamicSizes,
  own: readonly number[],
  inputs: Feeds,
  targets: Feeds,
): [inputs: Feeds, targets: Feeds] {
  const shapes = sizes.at(own);
  return [resized(inputs, '', shapes), resized(targets, TARGET, shapes)];
}

/** Feeds of other sizes, filled with zeros if they differ. */
function resized(feeds: Feeds, prefix: string, shapes: BatchShapes): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => {
      const dims = shapes.get(prefix + name)!;
      const isOther = dims.join() !== tensor.dims.join();
      return [name, isOther ? { type: tensor.type, dims, data: new (arrayOf(tensor.type))(sizeOf(dims)) } : tensor];
    }),
  );
}
