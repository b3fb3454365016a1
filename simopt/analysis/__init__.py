"""What arrays of responses say about the task, and about each other.

A percentile is taken from data that are unrelated to X but like Y in all else. What may be exchanged to make
such data depends on how the samples depend on each other (:mod:`simopt.analysis.exchange`). The table shows
how often unrelated pairs of 200 samples x 20 units (100 with 5 conditions) get a percentile, and how often
it is at or above 95, both in %, as ``scripts/calibrate_nulls.py`` measured it. Images are 50 with 4 repeats
each, sessions are 5 of 40 samples. Shares of fewer than 20 pairs are left out.

===========================  ===== ===== ===== ====== ============ ======
unrelated pairs               given   cka   nbs linreg  innovations  pairs
===========================  ===== ===== ===== ====== ============ ======
independent                    99.8   4.3   4.5    4.3                1000
heavy-tailed                   96.6   5.6   5.8    5.1                1000
AR(1) 0.2                      97.3   5.8   6.5    5.5       90 7.0    300
AR(1) 0.5                      97.0   5.8   7.2    7.9       90 7.0    300
AR(1) 0.9                      98.0   6.1   5.4    6.5       90 6.6    300
AR(1) 0.9 against 0.5          98.0   4.4   3.1    4.1       92 5.1    300
ARMA                           97.0   8.2   9.6    7.2       95 6.6    300
walks                           0.0                          93 5.0    300
5 conditions                  100.0   4.2   4.4    4.0                1000
10 conditions                 100.0   5.4   5.0    4.7                1000
images                        100.0   4.6   3.9    4.9                1000
images, by repeat             100.0   4.6   3.9    4.9                1000
sessions                      100.0   5.4   4.7    4.8                1000
sorted against independent     99.0   4.6   4.6    4.7        1 0.0   1000
5 conditions, undeclared        0.3                                    300
10 conditions, undeclared       0.0                                    300
images, undeclared              0.0                                    300
sessions, undeclared            0.0                                    300
sorted against sorted           0.0                                    300
counts of AR(1) 0.5             1.0                                    300
counts of AR(1) 0.9             0.0                                    300
===========================  ===== ===== ===== ====== ============ ======

Repeats of a stimulus in random order that nobody declares are the one structure that nothing in the data
shows: name them in ``groups``.

Power, of 300 related pairs, in % (cka, nbs, linreg). At the noise at which the exact exchange finds 80 % by
CKA: independent 75, 72, 73; 10 conditions 84, 99, 97; images 79, 78, 79; sessions 72, 100, 100. At the noise
of independent samples: AR(1) 0.2 73, 68, 70; AR(1) 0.5 47, 48, 49; innovations of these, of AR(1) 0.9 and of
walks 68 to 75.
"""
