/**
 * @file On which axis a value of a graph has the rows of a batch, before any batch is fed. Rows are followed through the
 * graph for sizes made up in place of its names: a proof for these, and sizes that have nothing in common with the others
 * of the graph stand for all.
 */

import type { GraphProto, ModelProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { inferGraph, opsetOf } from '../inferGraph.ts';
import { foldKnownIntegers } from '../rewrites/simplify.ts';
import { RowStates } from './rowStates.ts';

/**
 * The axis on which a value has the rows of the batch, in their order. `none`: it is one value for all rows, such as a table
 * of relative positions. `unknown`: it depends on the rows, and nothing more is known, such as where a graph leaves some out.
 */
export type RowPlace = number | 'none' | 'unknown';

/**
 * Primes for the number of rows: one of which the numbers 0, 1, … are followed when rows are picked by them, and one that is
 * longer than what a graph cuts of an axis.
 */
const [FEW, MANY] = [61, 10_007];

/** What sizes with a name may be: some graphs hold tables of few positions, others shorten sound or halve images many times. */
const guesses: readonly { readonly rows: number; readonly sizes: readonly number[] }[] = [
  { rows: FEW, sizes: [17, 19, 23, 29, 31, 37, 41, 43] },
  { rows: FEW, sizes: [224, 448, 672, 896] },
  { rows: FEW, sizes: [16_001, 16_007, 16_033] },
  { rows: MANY, sizes: [17, 19, 23, 29, 31, 37, 41, 43] },
];

/** The inputs of a graph that have rows: the axis of each, by name, those that are fed first. */
export interface BatchInputs {
  /** Whose first dimension counts the rows. */
  readonly counting: string;
  /** All inputs with rows. */
  readonly axes: ReadonlyMap<string, number>;
}

/**
 * Rows are on the first dimension that the file lets vary, and wherever a dimension has the same name. At the front of inputs,
 * names that speak of a batch are taken for the same, and those that only a converter gave. In a file of fixed sizes rows are
 * on the first of the first input that is no list, and of all others that are as long.
 */
export function batchInputsOf(graph: GraphProto, types: ReadonlyMap<string, ValueType>): BatchInputs {
  const constants = new Set((graph.initializer ?? []).map(({ name }) => name));
  const fed = (graph.input ?? []).flatMap(({ name = '' }) =>
    constants.has(name) ? [] : [{ name, shape: types.get(name)?.shape ?? [] }],
  );
  const first =
    fed.find(({ shape }) => typeof shape[0] === 'string') ?? fed.find(({ shape }) => shape.length > 1) ?? fed[0];
  const batch = first?.shape[0];
  if (!first || batch === undefined) return { counting: first?.name ?? '', axes: new Map() };
  const axisIn = (shape: readonly Dim[]): number => {
    if (typeof batch === 'number') return shape.length > 1 && shape[0] === batch ? 0 : -1;
    const front = shape[0];
    const isAlike = [namesNothing, namesBatch].some((is) => is(batch) && typeof front === 'string' && is(front));
    return isAlike ? 0 : shape.indexOf(batch);
  };
  const axes = fed.map(({ name, shape }) => [name, axisIn(shape)] as const).filter(([, axis]) => axis >= 0);
  return { counting: first.name, axes: new Map(axes) };
}

/** Names that inference, TensorFlow's converter or torch.export make up. */
const namesNothing = (dim: string): boolean => /^(\?|unk__|s\d+$)/.test(dim);
const namesBatch = (dim: string): boolean => /batch/i.test(dim);

/** Finds where values have their rows. Sizes are tried one after the other, as far as they are needed. */
export class RowPlaces {
  /** The inputs that have rows. */
  readonly inputs: BatchInputs;
  readonly #model: ModelProto;
  readonly #types: ReadonlyMap<string, ValueType>;
  readonly #tried: RowStates[] = [];

  /** @param types those that inference gives where nothing is known of the batch */
  constructor(model: ModelProto, types: ReadonlyMap<string, ValueType>) {
    this.#model = model;
    this.#types = types;
    this.inputs = batchInputsOf(model.graph ?? {}, types);
  }

  /** The place of a value of the main graph, where no row has a part in what is at another's. */
  of(name: string): RowPlace {
    const isCut = this.#isCut(name);
    for (const [i, guess] of this.#guesses.entries()) {
      if (isCut && guess.rows < MANY) continue;
      const states = (this.#tried[i] ??= this.#try(guess));
      const state = states.of(name);
      if (typeof state === 'number') return states.isWhole(name) ? state : 'unknown';
      if (state === 'counting' || state === 'uniform') return 0;
      if (state === 'same') return this.isCounted(name) ? 0 : 'none';
    }
    return 'unknown';
  }

  /**
   * Whether a value has as many parts on its first axis as the batch has rows: where operators have been that nothing is known
   * of, in branches and bodies, the best that can be said of where the rows are.
   */
  isCounted(name: string): boolean {
    const batch = this.#types.get(this.inputs.counting)?.shape?.[0];
    return typeof batch === 'string' && this.#types.get(name)?.shape?.[0] === batch;
  }

  /** Whether the size of a value comes from a slice of the rows: how many it leaves depends on how many there are. */
  #isCut(name: string): boolean {
    const batch = this.#types.get(this.inputs.counting)?.shape?.[0];
    const shape = this.#types.get(name)?.shape ?? [];
    return shape.some((dim) => typeof dim === 'string' && dim.includes(`slice(${batch},`));
  }

  /** A graph without names has the sizes that it says, and no others. */
  get #guesses(): typeof guesses {
    const hasNames = [...this.inputs.axes.keys()].some((name) =>
      this.#types.get(name)?.shape?.some((dim) => typeof dim === 'string'),
    );
    return hasNames ? guesses : guesses.slice(-1);
  }

  #try(guess: (typeof guesses)[number]): RowStates {
    const { graph = {} } = this.#model;
    const { counting, axes } = this.inputs;
    const batch = this.#types.get(counting)?.shape?.[0];
    const rows = typeof batch === 'number' ? batch : guess.rows;
    const dims: Record<string, number> = {};
    const sizes = [...guess.sizes];
    const sizeOf = (dim: Dim, axis: number): number => {
      if (typeof dim === 'number') return dim;
      // What has no name of its own is as long as others at its place.
      const next = (): number => sizes.shift() ?? guess.sizes[0]!;
      return (dims[dim] ??= namesNothing(dim) ? (dims[`axis ${axis}`] ??= next()) : next());
    };
    const shapes = (graph.input ?? []).flatMap(({ name = '' }) => {
      const shape = this.#types.get(name)?.shape;
      const own = axes.get(name);
      return shape ? [[name, shape.map((dim, i) => (i === own ? rows : sizeOf(dim, i)))] as const] : [];
    });
    if (typeof batch === 'string') dims[batch] = rows;
    const types = inferGraph(this.#model, { shapes: Object.fromEntries(shapes), dims });
    // Numbers of rows and positions are followed from constants on.
    const { node = [], initializer: initializers = [] } = foldKnownIntegers(graph, types);
    const states = new RowStates({ types, opset: opsetOf(this.#model), initializers, rows, rowInputs: axes });
    for (const each of node) states.visit(each);
    return states;
  }
}
