/**
 * @file CTC, the loss of labels without known positions in time. The probability of all alignments is a recursion over
 *   time, a Scan in the graph. Its gradient is not differentiated but follows the formula, softmax minus the posterior
 *   of each class per frame: https://www.cs.toronto.edu/~graves/icml_2006.pdf, equation 16.
 */

import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { formatShape } from '../../graph/value.ts';
import { valueInfo } from '../../graph/valueInfo.ts';
import { inferNode } from '../../ops/infer.ts';
import { expectOf } from '../graph/expected.ts';
import { int32, invalid, numbers, range, shapeOf, typed, wide } from './operands.ts';
import { type Reduction, total } from './reduction.ts';
import { narrow, rowScores } from './rowScores.ts';

/** Options of {@link ctc}. */
export interface CtcOptions {
  /** Index of the blank class; 0 by default. */
  readonly blank?: number | undefined;
  /** Number of frames per row without padding, `[batch]` integers; all by default. */
  readonly inputLengths?: Value | undefined;
  /** `mean` by default, as in torch: each row's loss divided by its number of labels, then the mean over the batch. */
  readonly reduction?: Reduction | undefined;
  /** Whether rows whose labels do not fit into their frames have a loss of 0 rather than infinity; false by default. */
  readonly zeroInfinity?: boolean | undefined;
}

/**
 * Connectionist temporal classification: `−log` of the probability that the frames yield the labels after merging
 * repeats and dropping blanks, as torch.nn.CTCLoss. A row with infinite loss has gradient 0.
 * @param logits `[batch, frames, classes]`, float
 * @param labels `[batch, length]` integers; values below 0 at the end of a row, such as -100, are padding
 * @returns a scalar; `[batch]` without reduction
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes or options
 */
export function ctc(
  g: GraphBuilder,
  logits: Value,
  labels: Value,
  { blank = 0, inputLengths, reduction = 'mean', zeroInfinity = false }: CtcOptions = {},
): Value {
  const [batch, frames, classes, length] = checked(logits, labels, inputLengths, blank);
  const x = wide(g, logits);
  const int = (value: Value): Value => g.Cast(value, dataTypeNumber('int32'));
  const said = narrow(g, labels);
  expectOf(g, labels, {
    classes,
    isIgnored: (label) => label < 0,
    ignored: 'those below 0 are padding',
    isMean: false,
  });
  const lengths = inputLengths
    ? g.Cast(inputLengths, dataTypeNumber('int64'))
    : g.ints(new Array<number>(batch).fill(frames));
  const isPadding = g.Less(said, int32(g, [0], []));
  // [batch, 1]: number of labels.
  const count = g.ReduceSum(typed(g, g.Not(isPadding), x), [1], true);
  const rows: Rows = {
    states: statesOf(g, g.Where(isPadding, int32(g, [blank], []), said), blank),
    ends: g.Cast(g.Reshape(g.Add(g.Mul(count, 2), 1), [batch]), dataTypeNumber('int64')),
    lengths,
    blank,
  };
  const { scores, probabilities, top, excess } = rowScores(g, g.stopGradient(x));
  const logs = g.Reshape(g.Sub(g.Sub(scores, top), excess), [batch, frames, classes]);
  const before = (size: number, ends: Value): Value =>
    g.Less(int32(g, range(size), [1, size]), int(g.Reshape(ends, [batch, 1])));
  const inFrames = before(frames, lengths);
  const inStates = before(2 * length + 1, rows.ends);
  const counts = g.And(g.Reshape(inStates, [batch, 2 * length + 1, 1]), g.Reshape(inFrames, [batch, 1, frames]));
  const through = g.Where(counts, waysThrough(g, logs, rows), NEVER);
  const all = waysAtStart(g, through);

  // Without frames there is one way to emit no labels, and none to emit any.
  const nothing = g.Where(g.Greater(count, 0), g.scalar(-NEVER, x.type), 0);
  const hasFrames = g.Less(int32(g, [0], []), int(g.Reshape(lengths, [batch, 1])));
  const cost = g.Where(hasFrames, g.Reshape(typed(g, g.Neg(all), x), [batch, 1]), nothing);
  const isInfinite = g.Greater(cost, -NEVER / 10);

  const share = g.Transpose(typed(g, g.Exp(g.Sub(through, all)), x), [0, 2, 1]);
  const says = g.Equal(g.Reshape(rows.states, [batch, 2 * length + 1, 1]), int32(g, range(classes), [1, 1, classes]));
  const told = g.MatMul(share, typed(g, says, x));
  const isCounted = g.And(g.Reshape(inFrames, [batch, frames, 1]), g.Not(g.Reshape(isInfinite, [batch, 1, 1])));
  const gradient = g.Where(isCounted, g.Sub(g.Reshape(probabilities, [batch, frames, classes]), told), 0);
  const known = g.withGradient(g.Reshape(cost, [batch, 1, 1]), [{ by: x, gradient }]);
  const costs = g.Where(isInfinite, zeroInfinity ? 0 : Infinity, g.Reshape(known, [batch, 1]));
  if (reduction === 'none') return g.Reshape(costs, [batch]);
  return reduction === 'sum' ? total(g, costs, 'sum') : total(g, g.Div(costs, g.Max(count, 1)), 'mean');
}

/** States and lengths of rows. */
interface Rows {
  /** The class of each state, `[batch, states]`: blank, label, blank, label, …, blank. int32 */
  readonly states: Value;
  /** Number of states per row: int64 `[batch]`. */
  readonly ends: Value;
  /** Number of frames per row: int64 `[batch]`. */
  readonly lengths: Value;
  readonly blank: number;
}

function checked(
  logits: Value,
  labels: Value,
  inputLengths: Value | undefined,
  blank: number,
): [batch: number, frames: number, classes: number, length: number] {
  const [batch, frames, classes, ...more] = shapeOf(logits);
  const [rows, length, ...others] = shapeOf(labels);
  if (classes === undefined || more.length > 0 || !length || others.length > 0 || rows !== batch) {
    throw invalid(
      `CTC needs logits [batch, frames, classes] and labels [batch, length], but "${logits.name}" is ${formatShape(logits.shape)} and "${labels.name}" ${formatShape(labels.shape)}.`,
    );
  }
  if (inputLengths && shapeOf(inputLengths).join() !== String(batch)) {
    throw invalid(
      `CTC needs a length for each row, but "${inputLengths.name}" is ${formatShape(inputLengths.shape)} for ${batch} rows.`,
    );
  }
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
    throw invalid(`the blank of CTC is a class from 0 to ${classes - 1}, but it is ${blank}.`);
  return [batch!, frames!, classes, length];
}

/** Blanks around and between the labels `[batch, length]`. */
function statesOf(g: GraphBuilder, labels: Value, blank: number): Value {
  const [batch, length] = shapeOf(labels) as [number, number];
  const blanks = (...dims: number[]): Value =>
    g.Expand(
      int32(
        g,
        [blank],
        dims.map(() => 1),
      ),
      dims,
    );
  const pairs = g.Concat([blanks(batch, length, 1), g.Reshape(labels, [batch, length, 1])], 2);
  return g.Concat([g.Reshape(pairs, [batch, 2 * length]), blanks(batch, 1)], 1);
}

/**
 * Log-probability of all paths through a state at a frame, `[batch, states, frames]`, float64; undefined outside a
 * row's states and frames. The forward and the backward recursion are one: the latter runs over reversed rows in the
 * same step.
 * @param logs log-probabilities `[batch, frames, classes]`
 */
function waysThrough(g: GraphBuilder, logs: Value, { states, ends, lengths, blank }: Rows): Value {
  const [batch, frames, classes] = shapeOf(logs) as [number, number, number];
  const turn = (x: Value, sizes: Value, batchAxis: number): Value => turned(g, x, sizes, batchAxis);
  const both = g.Concat([states, turn(states, ends, 0)], 0);

  const table = g.Transpose(g.Concat([logs, turn(logs, lengths, 0)], 0), [0, 2, 1]);
  const first = int32(g, range(2 * batch).map((row) => row * classes), [2 * batch, 1]); // prettier-ignore
  // A label outside the classes must not read the next row's.
  const index = g.Where(g.Less(both, int32(g, [classes], [])), g.Add(both, first), int32(g, [2 * batch * classes], []));
  const read = g.Gather(g.Reshape(table, [2 * batch * classes, frames]), index, 0);
  const emissions = g.Max(g.Cast(read, dataTypeNumber('float64')), NEVER);

  // Before opset 11, Pad only takes floats, and Equal none.
  const twoBack = g.Cast(g.Pad(g.Cast(both, dataTypeNumber('float32')), [0, 2, 0, -2]), dataTypeNumber('int32'));
  const isNew = g.And(g.Not(g.Equal(both, int32(g, [blank], []))), g.Not(g.Equal(both, twoBack)));
  const skip = g.Where(isNew, g.scalar(0, 'float64'), NEVER);

  const ways = ctcRecursion(g, g.Transpose(emissions, [2, 0, 1]), skip);
  const [to, from] = g.Split(ways, [batch, batch], 1) as [Value, Value];
  const last = [1, 2, 0];
  const onward = turn(g.Transpose(turn(from, lengths, 1), last), ends, 0);
  // Both include the emission of the state at the frame.
  return g.Sub(g.Add(g.Transpose(to, last), onward), g.Slice(emissions, [0], [batch], [0]));
}

/** ReverseSequence for opset 9: reverses each row's first `sizes` (int64 `[batch]`) steps of x. */
function turned(g: GraphBuilder, x: Value, sizes: Value, batchAxis: number): Value {
  const [first, second, ...rest] = shapeOf(x) as [number, number, ...number[]];
  const [rows, steps] = batchAxis === 0 ? [first, second] : [second, first];
  const [byRow, byStep] = batchAxis === 0 ? [[rows, 1], [1, steps]] : [[1, rows], [steps, 1]]; // prettier-ignore
  const size = g.Reshape(g.Cast(sizes, dataTypeNumber('int32')), byRow!);
  const step = int32(g, range(steps), byStep!);
  const from = g.Where(g.Less(step, size), g.Sub(g.Sub(size, int32(g, [1], [])), step), step);
  // Position of a row's step when both axes are joined.
  const [ofStep, ofRow] = batchAxis === 0 ? [1, steps] : [rows, 1];
  const place = g.Add(g.Mul(from, int32(g, [ofStep], [])), int32(g, range(rows).map((row) => row * ofRow), byRow!)); // prettier-ignore
  return g.Gather(g.Reshape(x, [rows * steps, ...rest]), place, 0);
}

/** Log-probability of all paths, which begin in one of the first two states: `[batch, 1, 1]`. */
function waysAtStart(g: GraphBuilder, through: Value): Value {
  const start = g.Slice(through, [0, 0], [2, 1], [1, 2]);
  const best = g.ReduceMax(start, [1], true);
  return g.Add(best, g.Log(g.ReduceSum(g.Exp(g.Sub(start, best)), [1], true)));
}

/** Log of an impossibility, finite so that sums and differences stay numbers. */
const NEVER = -1e30;

/**
 * The log-probability of all ways to be in a state after each frame, having begun in state 0 or 1: before each frame one
 * may stay, move on by one, or by two where `skip` allows.
 *
 * In float64, because logarithms grow with the frames and their differences are what counts; so it runs on the CPU under
 * every provider, where a step of some thousand states takes microseconds.
 * @param emissions log-probability of each state's token: float64 `[frames, rows, states]`
 * @param skip 0 or {@link NEVER}: float64 `[rows, states]`
 * @returns float64 `[frames, rows, states]`
 */
function ctcRecursion(g: GraphBuilder, emissions: Value, skip: Value): Value {
  const [frames, rows, states] = shapeOf(emissions) as [number, number, number];
  const like: Value = { name: '', type: 'float64' };
  const start = numbers(g, [0, ...new Array<number>(states - 1).fill(NEVER)], [1, states], like);
  const body = new GraphBuilder({ opset: g.opset, infer: inferNode, prefix: `${emissions.name}/step/` });
  const value = (name: string): Value => ({
    name: `${emissions.name}/${name}`,
    type: 'float64',
    shape: [rows, states],
  });
  const [before, frame] = [value('before'), value('frame')];
  // Source state and cost of moving by 0, 1 and 2; sources before the first state are impossible.
  const moves = range(3 * states).map((at) => ({ state: at % states, by: Math.floor(at / states) }));
  const sources = moves.map(({ state, by }) => Math.max(0, state - by));
  const outside = moves.map(({ state, by }) => (state < by ? NEVER : 0));
  const skips = g.Pad(g.Reshape(skip, [rows, 1, states]), [0, 2, 0, 0, 0, 0]);
  const costs = g.Add(skips, numbers(g, outside, [1, 3, states], like));
  const ways = body.Add(body.Gather(before, int32(body, sources, [3, states]), 1), costs);
  const after = body.Add(logSumExp(body, ways), frame);
  const kept = body.Identity(after);
  const [, all] = g.emitMany('Scan', [g.Expand(start, [rows, states]), emissions], 2, {
    num_scan_inputs: 1,
    body: {
      graph: {
        name: `${emissions.name}/step`,
        node: body.nodes,
        initializer: body.initializers,
        input: [before, frame].map((each) => valueInfo(each.name, each.type, each.shape)),
        output: [after, kept].map((each) => valueInfo(each.name, each.type, each.shape)),
      },
    },
  });
  const type = { type: 'float64', shape: [frames, rows, states] } as const;
  g.types.set(all!.name, type);
  return { name: all!.name, ...type };
}

/** `log Σ exp` over the second of three axes. */
function logSumExp(g: GraphBuilder, x: Value): Value {
  const [rows, , states] = shapeOf(x) as [number, number, number];
  const axes = g.opset < 18 ? { axes: [1] } : {};
  const sum = g.emit('ReduceLogSumExp', [x, ...(g.opset < 18 ? [] : [g.ints([1])])], { ...axes, keepdims: 0 });
  return { ...sum, type: 'float64', shape: [rows, states] };
}
