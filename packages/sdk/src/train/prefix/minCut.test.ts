import fc from 'fast-check';
import { expect, it } from 'vitest';
import '../../../../../test/support/seed.ts';
import { Network } from './minCut.ts';

const PLACES = 6;

it('costs as little as the cheapest of all ways to part the places', () => {
  const edge = fc.tuple(fc.nat(PLACES - 1), fc.nat(PLACES - 1), fc.constantFrom(0, 0.5, 1, 2, 3.25, Infinity));
  fc.assert(
    fc.property(fc.array(edge, { maxLength: 14 }), (edges) => {
      const network = new Network();
      for (let place = 2; place < PLACES; place++) network.place();
      for (const [from, to, cost] of edges) network.edge(from, to, cost);
      const costOf = (isSource: (place: number) => boolean): number =>
        edges.reduce((sum, [from, to, cost]) => (isSource(from) && !isSource(to) ? sum + cost : sum), 0);
      // Each subset of the other places, beside the source.
      const subsets = Array.from({ length: 2 ** (PLACES - 2) }, (_, bits) => costOf((at) => at === 0 || (at > 1 && ((bits >> (at - 2)) & 1) === 1))); // prettier-ignore
      const best = Math.min(...subsets);
      if (best === Infinity) {
        expect(() => network.sourceSide()).toThrow(RangeError);
        return;
      }
      const side = network.sourceSide();
      expect(side.has(network.source) && !side.has(network.sink)).toBe(true);
      expect(costOf((place) => side.has(place))).toBeCloseTo(best, 9);
    }),
    { numRuns: 300 },
  );
});
