/** @file Forms of Resize and Upsample that the table of checks cannot write down. */

import { expect, test } from 'vitest';
import { differentiated } from '../../../../../test/support/differentiated.ts';
import { type Composite, gradcheck } from '../../../../../test/support/gradcheck.ts';
import { attributeType } from '../../graph/proto.ts';
import { float32 } from '../../runtime/tensor.ts';

test.each(['nearest', 'linear'])('Upsample %s with scales as an attribute', async (mode) => {
  const build: Composite = (g, [x]) => {
    const { name } = g.emit('Upsample', [x!], { mode });
    g.nodes.at(-1)!.attribute!.push({ name: 'scales', type: attributeType.floats, floats: [1, 1, 2, 1.5] });
    const type = { type: 'float32', shape: [1, 2, 6, 6] } as const;
    g.types.set(name, type);
    return { name, ...type };
  };
  for (const { error, tolerance } of await gradcheck(build, { inputs: [[1, 2, 3, 4]], opset: 8, type: 'float32' })) {
    expect(error).toBeLessThan(tolerance);
  }
});

test('scales whose contents only running tells', async () => {
  const build: Composite = (g, [x, scale]) => {
    const scales = g.Concat([g.constant(float32([1, 1], [2])), g.stopGradient(scale!)], 0);
    const { name } = g.emit('Resize', [x!, undefined, scales], { mode: 'linear' });
    const type = { type: 'float32', shape: [1, 2, 6, 6] } as const;
    g.types.set(name, type);
    return g.Add({ name, ...type }, g.ReduceSum(scale!, [0], false));
  };
  const inputs = [[1, 2, 3, 4], { floats: [2, 1.5], dims: [2] }] as const;
  // The image's gradient; that of the scales is not asked for.
  const [image] = await gradcheck(build, { inputs: [...inputs], type: 'float32' });
  expect(image!.error).toBeLessThan(image!.tolerance);
});

test('sizes that are bounds have no rule', () => {
  const run = (): unknown =>
    differentiated({ x: [1, 1, 4, 4] }, ['x'], (g, { x }) => {
      const sizes = g.ints([1, 1, 6, 7]);
      const { name } = g.emit('Resize', [x!, undefined, undefined, sizes], {
        mode: 'linear',
        keep_aspect_ratio_policy: 'not_larger',
      });
      const type = { type: 'float32', shape: [1, 1, 6, 6] } as const;
      g.types.set(name, type);
      return g.ReduceSum({ name, ...type }, [0, 1, 2, 3], false);
    });
  expect(run).toThrow(
    expect.objectContaining({
      code: 'NO_GRADIENT',
      message: expect.stringContaining('with keep_aspect_ratio_policy "not_larger" has no gradient rule'),
    }),
  );
});
