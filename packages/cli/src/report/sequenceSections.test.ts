/** @file Tests of what reports show of sequences: bars, maps, letters and logos stand for their numbers. */

import { describe, expect, it } from 'vitest';
import { chart, histogram } from './chart.ts';
import { heatmap } from './heatmap.ts';
import { letterRows, logo } from './sequences.ts';

/** All numbers of an attribute, in order. */
function numbers(html: string, attribute: RegExp): number[] {
  return [...html.matchAll(attribute)].map(([, value]) => Number(value));
}

describe('a histogram', () => {
  it('has bars as high as there are values', () => {
    const html = histogram({ x: 'error', borders: [-2, -1, 0, 1, 2], counts: [0, 5, 10, 0] }, 'Errors');
    const heights = numbers(html, /<rect[^>]* height="([\d.]+)"/g);
    expect(heights[0]).toBe(0);
    expect(heights[2]! / heights[1]!).toBeCloseTo(2, 1);
    expect(html).toContain('<title>-1 to 0: 5</title>');
    expect(html).toContain('class="zero"');
    expect(html).toContain('aria-label="Errors: 15 values of error from -2 to 2."');
    expect(histogram({ x: 'size', borders: [1, 2], counts: [1] }, 'Sizes')).not.toContain('class="zero"');
  });

  it('says so where there is nothing to draw', () => {
    expect(histogram({ x: 'x', borders: [0, 1], counts: [0] }, 'x')).toContain('Nothing to draw');
  });
});

describe('a map', () => {
  const map = { x: 'position', y: 'residue', rows: ['A', 'C'], columns: ['1', '2'] };

  it('parts colours at its centre, and tells every number', () => {
    const html = heatmap({ ...map, values: [[-2, 1], [null, 0]], centre: 0, marked: [[1, 1]] }); // prettier-ignore
    expect(html).toContain('<td class="low" style="--share:1.00" title="A, 1: −2">−2</td>');
    expect(html).toContain('<td class="high" style="--share:0.50" title="A, 2: 1">1</td>');
    expect(html).toContain('<td class="none" title="C, 1"></td>');
    expect(html).toContain('<td class="high mark" style="--share:0.00" title="C, 2: 0">0</td>');
    expect(html).toContain('<span>−2</span><span>0</span><span>2</span>');
    expect(html).toContain('unchanged');
  });

  it('goes from the least to the most without a centre', () => {
    const html = heatmap({ ...map, values: [[3, 4], [5, 7]] }); // prettier-ignore
    expect(numbers(html, /--share:([\d.]+)/g)).toEqual([0, 0.25, 0.5, 1]);
    expect(html).toContain('<span>3</span><span>7</span>');
    expect(html).not.toContain('class="low');
    expect(html).not.toContain('unchanged');
  });

  it('is not made pale by a few values that are far away', () => {
    const columns = Array.from({ length: 100 }, (_, i) => String(i));
    const row = columns.map((_, i) => (i === 0 ? 1000 : 1));
    const html = heatmap({ ...map, rows: ['A'], columns, values: [row], centre: 0 });
    expect(numbers(html, /--share:([\d.]+)/g).every((share) => share === 1)).toBe(true);
  });

  it('says so where there is nothing to draw', () => {
    expect(heatmap({ ...map, values: [[null, null]] })).toContain('Nothing to draw');
    expect(heatmap({ ...map, values: [[1, 1], [1, 1]] })).not.toContain('NaN'); // prettier-ignore
  });
});

describe('letters', () => {
  it('stand above their lines, ten at a time, and are underlined where these differ', () => {
    const text = 'MKTAYIAKQRQI';
    const html = letterRows([
      { title: 'x', text, values: [...text].map((_, i) => i / 10), below: [{ label: 'true', text: 'HHHHHHHHHHCC' }, { label: 'said', text: 'HHCHHHHHHHCC' }] }, // prettier-ignore
    ]);
    expect(html.split('<small>').length - 1).toBe(2);
    expect(html).toContain('<small>11</small>');
    expect(html).toContain('<span>HHHHHHHHHH</span><span>HH<u>C</u>HHHHHHH</span>');
    // A share is at most 1.
    expect(numbers(html, /--share:([\d.]+)/g)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1]);
    expect(html).toContain('MKTAYIAKQRQI; true: HHHHHHHHHHCC; said: HHCHHHHHHHCC');
  });
});

describe('a logo', () => {
  const options = { x: 'position', y: 'bits' };
  const columns = [
    { label: '39', letters: [{ letter: 'K', height: 0.5 }, { letter: 'D', height: 1 }] }, // prettier-ignore
    { label: '40', letters: [] },
  ];

  it('has letters on each other, as high as they are to be', () => {
    const html = logo({ ...options, columns }, 'Best');
    const [low, high] = numbers(html, /scale\(1 ([\d.]+)\)/g);
    expect(high! / low!).toBeCloseTo(2, 1);
    const [base, above] = numbers(html, /translate\([\d.]+ ([\d.]+)\)/g);
    // The second begins where the first ends: its capitals are 0.72 of 26 units, stretched.
    expect(base! - above!).toBeCloseTo(26 * 0.72 * low!, 0);
    expect(html).toContain('<title>39: D 1, K 0.5</title>');
    expect(html).toContain('<title>40: nothing</title>');
    // A base and an acid.
    expect(html).toMatch(/class="s0"[^>]*>K<.*class="s7"[^>]*>D</);
  });

  it('colours nucleotides as such, and says so where there is nothing to draw', () => {
    const dna = logo({ ...options, columns: [{ label: '1', letters: [{ letter: 'G', height: 1 }] }] }, 'DNA');
    expect(dna).toMatch(/class="s1"[^>]*>G</);
    expect(logo({ ...options, columns: [columns[1]!] }, 'x')).toContain('Nothing to draw');
  });
});

it('a diagonal has one scale for both axes', () => {
  const points = [[0, 100], [10, 50]] as const; // prettier-ignore
  const shared = { kind: 'scatter', x: 'x', y: 'y', series: [{ name: 'a', points }] } as const;
  const html = chart({ ...shared, diagonal: true }, 'Parity');
  expect(numbers(html, /<circle cx="([\d.]+)"/g)[1]).toBeLessThan(120);
  expect(html).toContain('class="diagonal"');
  expect(chart(shared, 'Scatter')).not.toContain('class="diagonal"');
});
