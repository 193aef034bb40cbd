/** @file The gradient of LpNormalization, `y = x ÷ ‖x‖` along an axis. */

import { intAttribute } from '../graph/walk.ts';
import { signOf } from './comparisons.ts';
import { input, type Vjp } from './vjp.ts';
import { attributeOf } from '../ops/schema.ts';

/** `(dy − d·Σ dy·y) ÷ ‖x‖` where d is y for p = 2 and the sign of x for p = 1; 0 where the norm is 0. */
export const lpNormBack: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const x = input(site, 0);
  const axes = [intAttribute(node, 'axis', -1)];
  const isL1 = attributeOf(node, 'p') === 1;
  const norm = isL1 ? g.ReduceSum(g.Abs(x), axes, true) : g.ReduceL2(x, axes, true);
  const inverse = g.Where(g.Greater(norm, 0), g.Reciprocal(norm), 0);
  const along = g.ReduceSum(g.Mul(dy, y[0]!), axes, true);
  return g.Mul(g.Sub(dy, g.Mul(isL1 ? signOf(g, x) : y[0]!, along)), inverse);
};
