# The cheapest diet: a model to try the example with. It costs 14.4286 at best.
set FOOD;
param cost{FOOD}, >= 0;
param energy{FOOD}, >= 0;
param protein{FOOD}, >= 0;
var amount{FOOD}, >= 0, <= 8;
minimize total: sum{f in FOOD} cost[f] * amount[f];
s.t. enough_energy: sum{f in FOOD} energy[f] * amount[f] >= 24;
s.t. enough_protein: sum{f in FOOD} protein[f] * amount[f] >= 13;
solve;
display amount, total;
data;
set FOOD := bread milk meat;
param : cost energy protein :=
    bread 1.0 3 0.5
    milk  1.5 2 1.5
    meat  5.0 3 4.0;
end;
