/** @file The one graph for batches of all sizes, once a few batches have told what differs between them. */

import { isDeepStrictEqual } from 'node:util';
import { inTurns } from '../../graph/turns.ts';
import { arrayOf, type Feeds, sizeOf } from '../../runtime/tensor.ts';
import { openGraph, type OpenGraph } from '../graph/openGraph.ts';
import {
  type BatchShapes,
  type InputAxis,
  OpenSizes,
  type Probes,
  probesOf,
  type SizeAxes,
} from '../graph/openSizes.ts';
import type { TrainingGraph } from '../graph/trainingGraph.ts';
import { pieceRows, rowsOf } from './microBatch.ts';
import { prepareStep, takesAnyBatch } from './prepareStep.ts';
import type { GradientStepRequest, MemoryPlan } from './stepRequest.ts';

/** Shapes that are remembered. */
const MOST_SEEN = 16;
/** How often it is tried with what batches have shown until then. */
const TRIES = 3;
/** Sizes that may differ: graphs are built for two of each in all ways together. */
const MOST_SIZES = 3;

/** The graph for a batch of any size. */
export interface Opened {
  readonly graph: TrainingGraph;
  /** Rows that one run takes; undefined where a batch is computed at once. */
  readonly rows: number | undefined;
  readonly memoryPlan: MemoryPlan;
}

/** A graph, and for which batches it is. */
interface Found {
  readonly sizes: OpenSizes;
  readonly open: OpenGraph;
  /** Whether the first size is that of rows, of which a run may take some. */
  readonly byRows: boolean;
  readonly least: readonly number[];
  readonly most: readonly number[];
}

/** Finds the graph, and tells which batches it is for. */
export class OpenedGraph {
  readonly #request: GradientStepRequest;
  /** Shapes of batches that no graph was for, each once. */
  readonly #seen: BatchShapes[] = [];
  readonly #tried = new Set<string>();
  /** Rows that a run takes of batches, by the sizes of those that nothing is proven of as a whole. */
  readonly #rows = new Map<string, number>();
  #found: Found | undefined;

  /** Builds nothing yet. */
  constructor(request: GradientStepRequest) {
    this.#request = request;
  }

  /** The graph as it is for a batch; undefined where there is none for it. */
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

  /** Rows of a batch that may have any number of them; undefined of a single one, whose graph is for one. */
  #rowsOf(inputs: Feeds, targets: Feeds): number | undefined {
    const rows = takesAnyBatch(this.#request.base, inputs) ? rowsOf(inputs, targets) : undefined;
    return rows === 1 ? undefined : rows;
  }

  /**
   * Looks for it, or for another, with a batch that none was for.
   *
   * @param targetNames what the graph calls the targets; before there is a graph, a batch is only noted
   * @returns whether there is another one now, which this batch has
   */
  async find(inputs: Feeds, targets: Feeds, targetNames?: Readonly<Record<string, string>>): Promise<boolean> {
    const shapes = shapesOf(inputs, targets);
    const isNew = !this.#seen.some((each) => isDeepStrictEqual(each, shapes));
    if (isNew && this.#seen.length < MOST_SEEN) this.#seen.push(shapes);
    if (this.#seen.length < 2 || !targetNames || typeof this.#request.memory === 'number') return false;
    const byRows = this.#rowsOf(inputs, targets) !== undefined;
    const sizes = OpenSizes.of(this.#seen, byRows);
    // What is known already is tried no more, nor is anything for ever.
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
    // Longer ones than have come only where the model takes them and computes them alike.
    for (const factor of [2, 1]) {
      // Where a batch with most of everything is computed otherwise, those that come may still be alike.
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

  /** Sizes of what a run takes of the batch with the most numbers. */
  async #topOf(sizes: OpenSizes, byRows: boolean, inputs: Feeds, targets: Feeds): Promise<readonly number[]> {
    const numbers = (own: readonly number[]): number => own.reduce((product, size) => product * size, 1);
    const all = this.#seen.map((shapes) => sizes.sizesOf(shapes)).filter((own) => own !== undefined);
    const top = all.reduce((most, own) => (numbers(own) > numbers(most) ? own : most));
    if (!byRows || !this.#request.lossWeight) return top;
    return top.with(0, await this.#pieceRows(top, ...batchAt(sizes, top, inputs, targets), top[0]!));
  }

  /** Rows of a batch that one run takes, as a graph for it alone has them. */
  async #pieceRows(own: readonly number[], inputs: Feeds, targets: Feeds, total: number): Promise<number> {
    const key = own.join();
    const rows = this.#rows.get(key) ?? (await prepareStep(this.#request, inputs, targets)).rows ?? total;
    this.#rows.set(key, rows);
    return rows;
  }

  /** The largest that have come of each size. */
  #most(sizes?: OpenSizes): number[] {
    return (sizes?.axes ?? []).map(([[port, axis]]) =>
      Math.max(...this.#seen.map((shapes) => shapes.get(port)![axis]!)),
    );
  }

  /** Holds from the small sizes of the probes on, or where those are computed otherwise from their corners. */
  async #openGraph(
    { sizes, byRows }: Pick<Found, 'sizes' | 'byRows'>,
    { corners, checks }: Probes,
    axes: readonly SizeAxes[],
    graphAt: (own: readonly number[]) => Promise<TrainingGraph | undefined>,
  ): Promise<Found | undefined> {
    const nodesAt = async (own: readonly number[]): Promise<number> =>
      (await graphAt(own))?.model.graph?.node?.length ?? 0;
    // Large graphs first: where one is computed otherwise, no other need be built.
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
      const open = all.length === corners.length + count ? openGraph(all, probes, axes) : undefined;
      const from = count === checks.length ? checks.at(-1)! : corners[0]!;
      const least = from.map((size, i) => (byRows && i === 0 ? 1 : size));
      if (open) return { sizes, byRows, open, least, most };
    }
    return undefined;
  }

  /** The graph for a batch as a whole; undefined where the model takes none of that size. */
  async #graphAt(inputs: Feeds, targets: Feeds): Promise<TrainingGraph | undefined> {
    try {
      const { prepared } = await prepareStep({ ...this.#request, pieceRows: (rows) => rows }, inputs, targets);
      return await inTurns(prepared.build());
    } catch {
      return undefined;
    }
  }
}

/** Before the names of targets, which an input may have too. */
const TARGET = 'target:';

function shapesOf(inputs: Feeds, targets: Feeds): BatchShapes {
  const named = Object.entries(targets).map(([name, tensor]) => [TARGET + name, tensor] as const);
  return new Map([...Object.entries(inputs), ...named].map(([name, { dims }]) => [name, dims]));
}

/** A batch of other sizes. */
function batchAt(
  sizes: OpenSizes,
  own: readonly number[],
  inputs: Feeds,
  targets: Feeds,
): [inputs: Feeds, targets: Feeds] {
  const shapes = sizes.at(own);
  return [resized(inputs, '', shapes), resized(targets, TARGET, shapes)];
}

/** Feeds of other sizes, zeros where these are not their own. */
function resized(feeds: Feeds, prefix: string, shapes: BatchShapes): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => {
      const dims = shapes.get(prefix + name)!;
      const isOther = dims.join() !== tensor.dims.join();
      return [name, isOther ? { type: tensor.type, dims, data: new (arrayOf(tensor.type))(sizeOf(dims)) } : tensor];
    }),
  );
}
