# BCa intervals of the mean of skewed and bounded samples.
library(boot)
arguments <- commandArgs(trailingOnly = TRUE)
set.seed(3)
rows <- do.call(rbind, lapply(1:8, function(case) {
  n <- c(10, 18, 18, 35, 74, 74, 92, 109)[case]
  x <- round(if (case %% 2) rbeta(n, 2, 3) else rexp(n, 1 / 30), 3)
  interval <- boot.ci(boot(x, function(values, index) mean(values[index]), R = 50000), type = "bca")$bca[4:5]
  data.frame(case, x = paste(x, collapse = " "), low = sprintf("%.17g", interval[1]), high = sprintf("%.17g", interval[2]))
}))
write.csv(rows, arguments[1], row.names = FALSE, quote = FALSE)
