;; The two passes of Pillow's resampling for RGB of 8 bits, eight products at a time, and the look-up of normalised values.
;;
;; A weight has 22 bits after the point, and the instruction that multiplies and adds takes 16: so each weight w comes in two
;; parts, w = high * 2048 + low, and their sums are put together at the end, which gives the same integer as one sum would.
;; Weights come in pairs, for two pixels next to each other: high and low parts of both as 16 bits, then the next pair.
;; Where pixels are read that are not there, their weights are 0; the memory goes on long enough for it.

;;
;; src/preprocess/pixelProgram.ts holds this program as it is compiled by
;;   npx -p wabt wat2wasm pixels.wat --output=- | base64 -w0

(module
  (memory (export "memory") 1)

  ;; Turns sums of high and low parts into pixels: (high * 2048 + low + half) >> 22, clipped to 8 bits.
  (func $pixels (param $high v128) (param $low v128) (result v128)
    (i32x4.shr_s
      (i32x4.add
        (i32x4.add (i32x4.shl (local.get $high) (i32.const 11)) (local.get $low))
        (v128.const i32x4 2097152 2097152 2097152 2097152))
      (i32.const 22)))

  ;; One row of pixels becomes `width` pixels; two rows at a time, whose bytes are `$stride` apart, and `$outStride` in the
  ;; output. Of output pixel x, `$first` holds the distance in bytes of its first input pixel from the row's start, `$pairs`
  ;; how many times two pixels it is made of, and 8 bytes of `$weights` belong to each two.
  (func (export "horizontal")
    (param $source i32) (param $stride i32) (param $out i32) (param $outStride i32) (param $width i32)
    (param $first i32) (param $pairs i32) (param $weights i32) (param $weightStride i32)
    (local $x i32) (local $at i32) (local $weight i32) (local $left i32)
    (local $high v128) (local $low v128) (local $high2 v128) (local $low2 v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $w v128)
    (if (i32.eqz (local.get $width)) (then (return)))
    (loop $columns
      (local.set $at (i32.add (local.get $source) (i32.load (local.get $first))))
      (local.set $left (i32.load (local.get $pairs)))
      (local.set $weight (local.get $weights))
      (local.set $high (v128.const i32x4 0 0 0 0))
      (local.set $low (v128.const i32x4 0 0 0 0))
      (local.set $high2 (v128.const i32x4 0 0 0 0))
      (local.set $low2 (v128.const i32x4 0 0 0 0))
      (block $four
      (br_if $four (i32.lt_s (local.get $left) (i32.const 2)))
      (loop $taps
        ;; Red, green and blue of pixels 0 and 1, then of 2 and 3, as 16 bits: r0 r1 g0 g1 b0 b1 0 0.
        (local.set $a (v128.load (local.get $at)))
        (local.set $c (v128.load (i32.add (local.get $at) (local.get $stride))))
        (local.set $b
          (i8x16.shuffle 6 16 9 16 7 16 10 16 8 16 11 16 16 16 16 16 (local.get $a) (v128.const i32x4 0 0 0 0)))
        (local.set $a
          (i8x16.shuffle 0 16 3 16 1 16 4 16 2 16 5 16 16 16 16 16 (local.get $a) (v128.const i32x4 0 0 0 0)))
        (local.set $d
          (i8x16.shuffle 6 16 9 16 7 16 10 16 8 16 11 16 16 16 16 16 (local.get $c) (v128.const i32x4 0 0 0 0)))
        (local.set $c
          (i8x16.shuffle 0 16 3 16 1 16 4 16 2 16 5 16 16 16 16 16 (local.get $c) (v128.const i32x4 0 0 0 0)))
        (local.set $w (v128.load32_splat (local.get $weight)))
        (local.set $high (i32x4.add (local.get $high) (i32x4.dot_i16x8_s (local.get $a) (local.get $w))))
        (local.set $high2 (i32x4.add (local.get $high2) (i32x4.dot_i16x8_s (local.get $c) (local.get $w))))
        (local.set $w (v128.load32_splat offset=4 (local.get $weight)))
        (local.set $low (i32x4.add (local.get $low) (i32x4.dot_i16x8_s (local.get $a) (local.get $w))))
        (local.set $low2 (i32x4.add (local.get $low2) (i32x4.dot_i16x8_s (local.get $c) (local.get $w))))
        (local.set $w (v128.load32_splat offset=8 (local.get $weight)))
        (local.set $high (i32x4.add (local.get $high) (i32x4.dot_i16x8_s (local.get $b) (local.get $w))))
        (local.set $high2 (i32x4.add (local.get $high2) (i32x4.dot_i16x8_s (local.get $d) (local.get $w))))
        (local.set $w (v128.load32_splat offset=12 (local.get $weight)))
        (local.set $low (i32x4.add (local.get $low) (i32x4.dot_i16x8_s (local.get $b) (local.get $w))))
        (local.set $low2 (i32x4.add (local.get $low2) (i32x4.dot_i16x8_s (local.get $d) (local.get $w))))
        (local.set $at (i32.add (local.get $at) (i32.const 12)))
        (local.set $weight (i32.add (local.get $weight) (i32.const 16)))
        (local.set $left (i32.sub (local.get $left) (i32.const 2)))
        (br_if $taps (i32.ge_s (local.get $left) (i32.const 2)))))
      ;; Of an odd number of pairs the last.
      (if (local.get $left) (then
        (local.set $a
          (i8x16.shuffle 0 16 3 16 1 16 4 16 2 16 5 16 16 16 16 16
            (v128.load64_zero (local.get $at)) (v128.const i32x4 0 0 0 0)))
        (local.set $c
          (i8x16.shuffle 0 16 3 16 1 16 4 16 2 16 5 16 16 16 16 16
            (v128.load64_zero (i32.add (local.get $at) (local.get $stride))) (v128.const i32x4 0 0 0 0)))
        (local.set $w (v128.load32_splat (local.get $weight)))
        (local.set $high (i32x4.add (local.get $high) (i32x4.dot_i16x8_s (local.get $a) (local.get $w))))
        (local.set $high2 (i32x4.add (local.get $high2) (i32x4.dot_i16x8_s (local.get $c) (local.get $w))))
        (local.set $w (v128.load32_splat offset=4 (local.get $weight)))
        (local.set $low (i32x4.add (local.get $low) (i32x4.dot_i16x8_s (local.get $a) (local.get $w))))
        (local.set $low2 (i32x4.add (local.get $low2) (i32x4.dot_i16x8_s (local.get $c) (local.get $w))))))
      (local.set $high (call $pixels (local.get $high) (local.get $low)))
      (local.set $high2 (call $pixels (local.get $high2) (local.get $low2)))
      (local.set $high (i16x8.narrow_i32x4_s (local.get $high) (local.get $high2)))
      (local.set $high (i8x16.narrow_i16x8_u (local.get $high) (local.get $high)))
      (v128.store16_lane 0 (local.get $out) (local.get $high))
      (v128.store8_lane offset=2 2 (local.get $out) (local.get $high))
      (local.set $at (i32.add (local.get $out) (local.get $outStride)))
      (v128.store16_lane 2 (local.get $at) (local.get $high))
      (v128.store8_lane offset=2 6 (local.get $at) (local.get $high))
      (local.set $out (i32.add (local.get $out) (i32.const 3)))
      (local.set $first (i32.add (local.get $first) (i32.const 4)))
      (local.set $pairs (i32.add (local.get $pairs) (i32.const 4)))
      (local.set $weights (i32.add (local.get $weights) (local.get $weightStride)))
      (br_if $columns (local.tee $width (i32.sub (local.get $width) (i32.const 1))))))

  ;; Rows from `$source` on, `$stride` bytes apart, become one row of `$length` bytes, rounded up to eights. `$pairs` is the
  ;; number of pairs of rows, and 8 bytes of `$weights` belong to each.
  (func (export "vertical")
    (param $source i32) (param $stride i32) (param $out i32) (param $length i32) (param $pairs i32) (param $weights i32)
    (local $at i32) (local $weight i32) (local $left i32) (local $end i32)
    (local $high v128) (local $low v128) (local $high2 v128) (local $low2 v128) (local $a v128) (local $b v128) (local $w v128)
    (local.set $end (i32.add (local.get $out) (local.get $length)))
    (if (i32.ge_u (local.get $out) (local.get $end)) (then (return)))
    (loop $columns
      (local.set $at (local.get $source))
      (local.set $weight (local.get $weights))
      (local.set $left (local.get $pairs))
      (local.set $high (v128.const i32x4 0 0 0 0))
      (local.set $low (v128.const i32x4 0 0 0 0))
      (local.set $high2 (v128.const i32x4 0 0 0 0))
      (local.set $low2 (v128.const i32x4 0 0 0 0))
      (loop $rows
        ;; Eight columns of two rows as 16 bits: the upper, the lower, the upper, …
        (local.set $b
          (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23
            (v128.load64_zero (local.get $at))
            (v128.load64_zero (i32.add (local.get $at) (local.get $stride)))))
        (local.set $a (i16x8.extend_low_i8x16_u (local.get $b)))
        (local.set $b (i16x8.extend_high_i8x16_u (local.get $b)))
        (local.set $w (v128.load32_splat (local.get $weight)))
        (local.set $high (i32x4.add (local.get $high) (i32x4.dot_i16x8_s (local.get $a) (local.get $w))))
        (local.set $high2 (i32x4.add (local.get $high2) (i32x4.dot_i16x8_s (local.get $b) (local.get $w))))
        (local.set $w (v128.load32_splat offset=4 (local.get $weight)))
        (local.set $low (i32x4.add (local.get $low) (i32x4.dot_i16x8_s (local.get $a) (local.get $w))))
        (local.set $low2 (i32x4.add (local.get $low2) (i32x4.dot_i16x8_s (local.get $b) (local.get $w))))
        (local.set $at (i32.add (local.get $at) (i32.shl (local.get $stride) (i32.const 1))))
        (local.set $weight (i32.add (local.get $weight) (i32.const 8)))
        (br_if $rows (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (local.set $high
        (i16x8.narrow_i32x4_s
          (call $pixels (local.get $high) (local.get $low))
          (call $pixels (local.get $high2) (local.get $low2))))
      (v128.store64_lane 0 (local.get $out) (i8x16.narrow_i16x8_u (local.get $high) (local.get $high)))
      (local.set $source (i32.add (local.get $source) (i32.const 8)))
      (local.set $out (i32.add (local.get $out) (i32.const 8)))
      (br_if $columns (i32.lt_u (local.get $out) (local.get $end)))))

  ;; Looks up `$count` pixels in a table of 256 floats for red, then for green, then for blue; each colour has its own output.
  (func (export "normalize")
    (param $source i32) (param $count i32) (param $table i32) (param $red i32) (param $green i32) (param $blue i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $source) (i32.mul (local.get $count) (i32.const 3))))
    (if (i32.ge_u (local.get $source) (local.get $end)) (then (return)))
    (loop $pixels
      (f32.store (local.get $red)
        (f32.load (i32.add (local.get $table) (i32.shl (i32.load8_u (local.get $source)) (i32.const 2)))))
      (f32.store (local.get $green)
        (f32.load offset=1024
          (i32.add (local.get $table) (i32.shl (i32.load8_u offset=1 (local.get $source)) (i32.const 2)))))
      (f32.store (local.get $blue)
        (f32.load offset=2048
          (i32.add (local.get $table) (i32.shl (i32.load8_u offset=2 (local.get $source)) (i32.const 2)))))
      (local.set $red (i32.add (local.get $red) (i32.const 4)))
      (local.set $green (i32.add (local.get $green) (i32.const 4)))
      (local.set $blue (i32.add (local.get $blue) (i32.const 4)))
      (local.set $source (i32.add (local.get $source) (i32.const 3)))
      (br_if $pixels (i32.lt_u (local.get $source) (local.get $end))))))
