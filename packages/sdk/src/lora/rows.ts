/** @file Shapes linear inputs so that a batch can use one adapter, or one per row. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { Site } from '../match/sites.ts';

/** A dimension that Reshape infers. */
const OPEN = -1;
const LAST = 2 ** 31 - 1;

/** Sizes of a linear layer, features last, for {@link RowFold}. */
export interface Fold extends Pick<Site, 'weightShape'> {
  /** Batch axis; undefined if all rows must use one adapter. */
  readonly rowAxis: number | undefined;
  /** Whether adapters may bring any number of outputs. */
  readonly isOpen?: boolean;
}

/**
 * Reshapes a layer's input to `[batch, positions, in]`. There, `MatMul` with A `[in, r]` uses one adapter for all rows,
 * and with A `[batch, in, r]` one per row. With one adapter, the batch size is 1: a model may have several batches of
 * different sizes, such as texts and images.
 */
export class RowFold {
  readonly #g: GraphBuilder;
  readonly #batchInput: Value;
  /** Its first dimension counts the rows; a scalar stands for one row. */
  readonly #counting: () => Value;
  #batch: Value | undefined;

  /** @param counting picks an adapter per row, or one for all; the batch input if rows have their own numbers */
  constructor(g: GraphBuilder, batchInput: Value, counting: () => Value = () => batchInput) {
    this.#g = g;
    this.#batchInput = batchInput;
    this.#counting = counting;
  }

  /** `product` of the folded x `[batch, positions, in]` → `[batch, positions, out]`, in the layer's own shape again. */
  apply(x: Value, fold: Fold, product: (rows: Value) => Value): Value {
    const { rowAxis } = fold;
    if (rowAxis === undefined) return product(x);
    if (rowAxis === 0) return this.#folded(x, fold, product);
    const front = [rowAxis, ...x.shape!.keys()].filter((axis, i) => i === 0 || axis !== rowAxis);
    const back = front.map((_, axis) => front.indexOf(axis));
    return this.#g.Transpose(this.#folded(this.#g.Transpose(x, front), fold, product), back);
  }

  #folded(x: Value, { weightShape: [out, width], isOpen }: Fold, product: (rows: Value) => Value): Value {
    const g = this.#g;
    const rank = x.shape?.length;
    const aligned = x.shape !== undefined && x.shape[0] === this.#batchInput.shape?.[0];
    if (rank === 3 && aligned) return product(x);
    if (rank === 2 && aligned) return g.Squeeze(product(g.Unsqueeze(x, [1])), [1]);
    const read = width === OPEN ? g.Slice(g.Shape(x), [-1], [LAST], [0]) : g.ints([width!]);
    const folded = g.Reshape(x, g.Concat([this.#batchSize(), g.ints([-1]), read], 0));
    const last = isOpen ? OPEN : out!;
    const known = x.shape?.slice(0, -1);
    // ONNX Runtime's fusion of Reshape fails on sizes that it folds to constants itself.
    if (known?.every((size) => typeof size === 'number')) return g.Reshape(product(folded), [...known, last]);
    const leading = g.Slice(g.Shape(x), [0], [-1], [0]);
    return g.Reshape(product(folded), g.Concat([leading, g.ints([last])], 0));
  }

  /** `value · factor`, with a factor `[out]` for all rows, or `[batch, 1, out]`. */
  scale(value: Value, factor: Value, fold: Fold): Value {
    return this.apply(value, onOutputs(fold), (rows) => this.#g.Mul(rows, factor));
  }

  /** `value + term`, with a term `[out]` for all rows, or `[batch, 1, out]`. */
  add(value: Value, term: Value, fold: Fold): Value {
    return this.apply(value, onOutputs(fold), (rows) => this.#g.Add(rows, term));
  }

  /** The number of rows; 1 for a scalar that picks one adapter for all. */
  #batchSize(): Value {
    const g = this.#g;
    this.#batch ??= g.Slice(g.Concat([g.Shape(this.#counting()), g.ints([1])], 0), [0], [1], [0]);
    return this.#batch;
  }
}

function onOutputs({ weightShape: [out], rowAxis, isOpen = false }: Fold): Fold {
  const size = isOpen ? OPEN : out!;
  return { weightShape: [size, size], rowAxis, isOpen };
}
