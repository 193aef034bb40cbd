/** @file The gradient of TopK's values: dy put where they were. No place is chosen twice, so nothing is added up. */

import { intAttribute } from '../graph/walk.ts';
import { input, staticShape, type Vjp } from './vjp.ts';

/** dy scattered to the indices that the operator gives as its second output. */
export const topKBack: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const zeros = g.Expand(g.scalar(0, dy.type), staticShape(input(site, 0)));
  const axis = intAttribute(node, 'axis', -1);
  return g.emit(g.opset < 11 ? 'Scatter' : 'ScatterElements', [zeros, y[1]!, dy], { axis });
};
