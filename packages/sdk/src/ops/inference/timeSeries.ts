/** @file Shape inference of recurrent networks and Fourier transforms. */

import { type Dim, type ValueType } from '../../graph/value.ts';
import { intAttribute } from '../../graph/walk.ts';
import { symbol } from '../dim.ts';
import { type InferenceSite, input, numbersIn, type Rule, unknownDim } from './site.ts';
import { attributeOf, fromFront } from '../schema.ts';

/** X `[positions, batch, features]`; states `[positions, directions, batch, hidden]`, then `states` last ones. */
const recurrent =
  (states: number): Rule =>
  (site) => {
    const { type, shape } = input(site);
    const hidden = intAttribute(site.node, 'hidden_size', undefined) ?? input(site, 2).shape?.[2];
    if (shape?.length !== 3 || hidden === undefined) return Array.from({ length: states + 1 }, () => ({ type }));
    const isBatchFirst = attributeOf(site.node, 'layout') === 1;
    const directions = attributeOf(site.node, 'direction') === 'bidirectional' ? 2 : 1;
    const [batch, positions] = isBatchFirst ? [shape[0]!, shape[1]!] : [shape[1]!, shape[0]!];
    const all = isBatchFirst ? [batch, positions, directions, hidden] : [positions, directions, batch, hidden];
    const last = { type, shape: isBatchFirst ? [batch, directions, hidden] : [directions, batch, hidden] };
    return [{ type, shape: all }, ...Array.from({ length: states }, () => last)];
  };

/** Number of frequencies of a real transform. */
function oneSided(length: Dim): Dim {
  return typeof length === 'number' ? Math.floor(length / 2) + 1 : symbol(`onesided(${length})`);
}

/** Real or complex input, complex output. The axis is an attribute, since opset 20 an input. */
const dft: Rule = (site): readonly ValueType[] => {
  const { type, shape } = input(site);
  const axis = site.inputs[2]
    ? numbersIn(input(site, 2))?.[0]
    : intAttribute(site.node, 'axis', site.opset < 20 ? 1 : -2);
  const isOneSided = intAttribute(site.node, 'onesided', 0) === 1;
  // The one-sided inverse is real.
  if (!shape || axis === undefined || (isOneSided && intAttribute(site.node, 'inverse', 0) === 1)) return [{ type }];
  const at = fromFront(axis, shape.length);
  const length = site.inputs[1] ? (input(site, 1).ints?.[0] ?? unknownDim(site, 'length')) : shape[at]!;
  const sized = shape.map((dim, i) => (i === at ? (isOneSided ? oneSided(length) : length) : dim));
  return [{ type, shape: [...sized.slice(0, -1), 2] }];
};

/** signal `[batch, length, 1 or 2]`; result `[batch, frames, frequencies, 2]`. */
const stft: Rule = (site) => {
  const { type, shape } = input(site);
  const [step, given] = [input(site, 1).ints?.[0], input(site, 3).ints?.[0]];
  const length = given ?? input(site, 2).shape?.[0];
  if (!shape || length === undefined) return [{ type }];
  return [{ type, shape: [shape[0]!, frames(site, shape[1]!, length, step), oneSidedBy(site, length), 2] }];
};

function frames(site: InferenceSite, total: Dim, length: Dim, step: Dim | undefined): Dim {
  const isKnown = typeof total === 'number' && typeof length === 'number' && typeof step === 'number';
  return isKnown ? Math.floor((total - length) / step) + 1 : unknownDim(site, 1);
}

function oneSidedBy({ node }: InferenceSite, length: Dim): Dim {
  return intAttribute(node, 'onesided', 1) === 1 ? oneSided(length) : length;
}

export const timeSeriesRules: Readonly<Record<string, Rule>> = {
  RNN: recurrent(1),
  GRU: recurrent(1),
  LSTM: recurrent(2),
  DynamicQuantizeLSTM: recurrent(2),
  DFT: dft,
  STFT: stft,
};
