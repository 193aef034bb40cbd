/** @file Drawn combinations of layers, formats and methods keep the laws; and the drawing finds what is broken. */

import { expect, it } from 'vitest';
import { isNightly } from '../support/nightly.ts';
import { otherMethods } from './methods.ts';
import { search } from './search.ts';

// Each night draws others.
const [count, seed] = isNightly ? [20_000, Math.floor(Date.now() / 86_400_000)] : [500, 1];

it(
  `${count} draws of seed ${seed}`,
  async () => {
    const { count: done, failure, refused, pairs } = await search({ count, seed });
    expect(failure && JSON.stringify(failure), 'npm run combinations -- --draw repeats the draw').toBeUndefined();
    expect(done).toBe(count);
    // Most of the draws are things that the SDK does.
    expect([...refused.values()].reduce((sum, each) => sum + each, 0)).toBeLessThan(count / 6);
    const drawn = new Set([...pairs.keys()].flatMap((pair) => pair.split(' × ')));
    const missing = otherMethods.filter((name) => !drawn.has(`method ${name}`));
    expect(missing.length).toBeLessThan(isNightly ? 1 : otherMethods.length / 4);
  },
  isNightly ? 5_400_000 : 240_000,
);
