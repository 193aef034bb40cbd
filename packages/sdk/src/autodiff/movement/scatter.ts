/** @file Gradients of ScatterND and ScatterElements with any reduction. */

import { attributeOf } from '../../ops/schema.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { stringAttribute } from '../../graph/walk.ts';
import { castTo, input, staticShape, type Vjp, type VjpSite, zerosLike } from '../vjp.ts';

interface Places {
  readonly read: (value: Value) => Value;
  /** `data` with `updates` scattered. */
  readonly write: (data: Value, updates: Value, reduction?: string) => Value;
}

function placesOf({ g, node, x }: VjpSite): Places {
  const indices = x[1]!;
  const how = (reduction?: string): { reduction?: string } => (reduction ? { reduction } : {});
  if (node.opType === 'ScatterND') {
    return {
      read: (value) => g.emit('GatherND', [value, indices]),
      write: (data, updates, reduction) => g.emit('ScatterND', [data, indices, updates], how(reduction)),
    };
  }
  const axis = attributeOf(node, 'axis');
  return {
    read: (value) => g.GatherElements(value, indices, axis),
    write: (data, updates, reduction) =>
      g.emit('ScatterElements', [data, indices, updates], { axis, ...how(reduction) }),
  };
}

/** Zero where overwritten; unchanged where added to. */
export const scatterData: Vjp = (site) => {
  const { g, dy } = site;
  const { write } = placesOf(site);
  switch (reductionOf(site)) {
    case 'add':
      return dy;
    case 'mul':
      return g.Mul(dy, write(onesLike(g, input(site, 0)), input(site, 2), 'mul'));
    case 'min':
    case 'max': {
      const { ofData, share } = winners(site);
      return g.Mul(ofData, share);
    }
    default:
      return write(dy, zerosLike(g, input(site, 2)));
  }
};

/** The gradient at the updated place; without a reduction, every update of one place gets it. */
export const scatterUpdates: Vjp = (site) => {
  const { g, dy } = site;
  const places = placesOf(site);
  switch (reductionOf(site)) {
    case 'mul':
      return g.Mul(places.read(dy), others(site, places));
    case 'min':
    case 'max': {
      const { ofUpdates, share } = winners(site);
      return g.Mul(ofUpdates, places.read(share));
    }
    default:
      return places.read(dy);
  }
};

function reductionOf({ node }: VjpSite): string {
  return stringAttribute(node, 'reduction', 'none');
}

/** Masks (1 and 0) of the minimum or maximum, and the gradient's share; evenly between ties, as in torch. */
function winners(site: VjpSite): { ofData: Value; ofUpdates: Value; share: Value } {
  const { g, y, dy } = site;
  const { read, write } = placesOf(site);
  const is = (value: Value, extreme: Value): Value => g.Where(g.Equal(value, extreme), g.scalar(1, dy.type), 0);
  const [ofData, ofUpdates] = [is(input(site, 0), y[0]!), is(input(site, 2), read(y[0]!))];
  return { ofData, ofUpdates, share: g.Div(dy, write(ofData, ofUpdates, 'add')) };
}

/** For each update, the product of all other factors at its place, exact for zeros. */
function others(site: VjpSite, { read, write }: Places): Value {
  const g = site.g;
  const [data, updates] = [input(site, 0), input(site, 2)];
  const isZero = (value: Value): Value => g.Equal(value, g.scalar(0, value.type));
  const count = (value: Value): Value => g.Where(isZero(value), g.scalar(1, value.type), 0);
  const filled = (value: Value): Value => g.Where(isZero(value), g.scalar(1, value.type), value);
  const zerosThere = read(write(count(data), count(updates), 'add'));
  const product = read(write(filled(data), filled(updates), 'mul'));
  // At a place with one zero, only that factor has a nonzero gradient.
  const none = g.scalar(0, data.type);
  const ofZero = g.Where(g.Equal(zerosThere, g.scalar(1, data.type)), product, none);
  const ofOther = g.Where(g.Equal(zerosThere, none), g.Div(product, filled(updates)), none);
  return g.Where(isZero(updates), ofZero, ofOther);
}

function onesLike(g: GraphBuilder, value: Value): Value {
  return g.Expand(castTo(g, g.scalar(1), value.type), staticShape(value));
}
