"use strict";
// What pages say of numbers.

const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

// A number in so many decimals: of two that are equally near the one further from 0, and less than 1e-9 is no difference. style.rounded
// is the same rule, so a number is the same here and in tables.
function fixed(value, digits) {
  const whole = Math.round(Number(`${Math.abs(value).toFixed(9)}e${digits}`));
  const text = (whole / 10 ** digits).toFixed(digits);
  return value < 0 && whole > 0 ? `-${text}` : text;
}

// The leading digits of a number that is not negative, as a whole number, and the power of ten of the first: by the rule of fixed, and what
// is less than 1e-11 of the number is no difference. As style.leading.
function leading(value, digits) {
  const [mantissa, power] = value.toExponential(11).split("e");
  const whole = Math.round(Number(`${mantissa}e${digits - 1}`));
  return whole < 10 ** digits ? [whole, Number(power)] : [whole / 10, Number(power) + 1];
}

// In so many digits, without zeros at the end of a fraction and, below 1e21, with no power of ten: "1,200", "0.05". As style.significant.
function significant(value, digits) {
  const [whole, power] = leading(value, digits);
  const places = Math.max(0, digits - 1 - power);
  const [ones, fraction = ""] = Number(`${whole}e${power - digits + 1}`).toFixed(places).split(".");
  return `${ones.replace(/\B(?=(\d{3})+$)/g, ",")}.${fraction}`.replace(/\.?0*$/, "");
}

// With a power of ten, in so many digits after the first: "1.25e13". As style.scientific.
function scientific(value, digits) {
  const [whole, power] = leading(value, digits + 1);
  return `${(whole / 10 ** digits).toFixed(digits)}e${power}`;
}
